package assemble

// The versions, for the test that compares them.
const (
	SopsVersion = sopsVersion
	RuncVersion = runcVersion
)
