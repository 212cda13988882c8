// Package examples holds manifests to start from, each in a folder with a README. The hello example
// is what flycd local deploys when it is given nothing else.
package examples

import "embed"

// Hello is the folder of the hello example.
//
//go:embed all:hello
var Hello embed.FS
