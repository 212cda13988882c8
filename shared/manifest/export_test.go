package manifest

import "gopkg.in/yaml.v3"

// Remarks shows the remarks of the reference to tests.
func Remarks() map[string]remark { return remarks() }

// ReferenceFault shows what is said of an image's reference to tests.
func ReferenceFault(ref string) string { return referenceFault(ref) }

// RangeFault shows what is said of a range of versions to tests.
func RangeFault(within string) string { return rangeFault(within) }

// NoNumber reports whether a pattern is refused beside sort: number.
func NoNumber(pattern string) bool {
	refused := false
	c := checker{decoder: &decoder{report: func(*yaml.Node, string, string) { refused = true }}, tree: &yaml.Node{}}
	c.numbered(pattern)
	return refused
}
