// Package settings reads what the environment says into a program's own struct, and tells people what may stand there.
//
// A field has the tags env (the variable, as github.com/caarlos0/env reads it), envDefault and help. One with the tag
// file:"yes" may also come from a file that the variable with _FILE behind its name names, as secrets are mounted; the
// variable itself wins. Fields that are structs hold more settings. What a program makes of them is its own business: this
// package judges nothing but that a number is a number.
//
// It never reads the process's environment: it is given it.
package settings
