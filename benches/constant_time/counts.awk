# Compares the instructions of attempts, from what callgrind wrote: a file for each, named "SUBJECT: WHICH".
# Those of a file's line stand below the file's name, which is given once and referred to by its number afterwards.

FNR == 1 { end_of_attempt(); split("", cryptography) }
sub(/^desc: Trigger: Client Request: /, "") { attempt = $0 }
/^summary: / { total = $2 }
/^c?f[lie]=/ {
    number = substr($1, index($1, "="))
    if (NF > 1) cryptography[number] = /\/src\/mac\.rs$|\/(digest|hkdf|hmac|sha2|subtle)-[0-9][^\/]*\//
    if (/^f/) inside = cryptography[number]
}
/^calls=/ { getline; next } # what the called function took, which stands below its own name
/^[-+*0-9]/ { if (inside) within += $2 }
END { end_of_attempt(); compare() }

function end_of_attempt() {
    if (attempt != "") {
        add(attempt, total)
        split(attempt, part, ": ")
        if (!(part[1] in seen)) { seen[part[1]]; subjects[++count] = part[1] }
        add(part[1] ": cryptography", within)
    }
    attempt = ""; within = 0
}

function add(what, instructions) {
    if (!attempts[what]++) least[what] = most[what] = instructions
    if (instructions < least[what]) least[what] = instructions
    if (instructions > most[what]) most[what] = instructions
}

function compare(    i, name) {
    for (i = 1; i <= count; i++) {
        name = subjects[i]
        if (name == "control, early exit") {
            report(least[name ": wrong"] < most[name ": wrong"], name ": caught,", name ": wrong")
            continue
        }
        report(same(name ": wrong"), name ", wrong:", name ": wrong")
        if (attempts[name ": right"] > 1) report(same(name ": right"), name ", right:", name ": right")
        report(same(name ": cryptography") && most[name ": cryptography"], name ", right or wrong, in cryptography:", name ": cryptography")
    }
}

function same(what) { return attempts[what] > 0 && least[what] == most[what] }

function report(good, line, what) {
    print (good ? "ok  " : "FAILED  ") line, least[what] (least[what] == most[what] ? "" : " to " most[what]), \
        "instructions in", (attempts[what] > 1 ? "each of " attempts[what] " attempts" : "one attempt")
}
