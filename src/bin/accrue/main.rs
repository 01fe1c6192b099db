//! accrue
fn main(){}
