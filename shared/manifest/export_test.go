package manifest

// Remarks shows the remarks of the reference to tests.
func Remarks() map[string]remark { return remarks() }
