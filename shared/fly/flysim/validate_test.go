package flysim_test

import (
	"net/http"
	"testing"
)

func validating(t *testing.T, under http.RoundTripper) http.RoundTripper { t.Helper(); return under }
