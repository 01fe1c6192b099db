# Judges what dudect-bencher printed. dudect takes |t| above 5 for a suspicion and above 10 for a proof, with millions of
# attempts on a machine that does nothing else; here nothing may fail for what else the machine does.

BEGIN { alike = 10; apart = 50 }

/^bench .* max t = / {
    names[++count] = $2
    t[$2] = $0
    sub(/.* max t = [-+]/, "", t[$2])
    sub(/,.*/, "", t[$2])
    t[$2] += 0
}

END {
    in_order = count && t["control_null"] < alike && t["control_early_exit"] > apart
    for (i = 1; i <= count; i++) {
        name = names[i]
        if (name ~ /^public_/) judged = "--"
        else if (!in_order) judged = "??"
        else if (name ~ /^control_/ || t[name] < apart) judged = "ok"
        else judged = "FAILED"
        gsub(/_/, " ", name)
        printf "%s  %s: |t| = %.1f\n", judged, name, t[names[i]]
    }
    if (!in_order) print "??  the controls are not what they have to be: this machine is too busy to tell"
}
