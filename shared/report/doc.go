// Package report words plans for people: an app's headline, its steps by process group with what is alike on one
// line, and Markdown for a pull request's comment. What comes from manifests and from Fly stays text: nothing in it is
// read as Markdown, moves a terminal, or begins a line of its own.
//
// The command flycd plan prints rows, and a runner that plans a pull request keeps their Markdown in its result.
package report
