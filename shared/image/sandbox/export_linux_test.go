package sandbox

// ForgetMain makes this process one whose main did not call Main, until again is called.
func ForgetMain() (again func()) {
	called.Store(false)
	return func() { called.Store(true) }
}
