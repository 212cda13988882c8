package secret

import (
	"strings"
	"unicode/utf8"

	"github.com/gigurra/flycd/shared/job"
)

// check tells what makes a text no value of a secret.
func (r Resolver) check(name, text string) error {
	switch {
	case text == "":
		return job.Rejectf("its value is empty; remove the secret from the manifest if it is not needed")
	case !utf8.ValidString(text):
		return job.Rejectf("its value is not text; encode it as base64 and let the app decode it")
	case strings.Contains(text, "\x00"):
		return job.Rejectf("its value holds a zero byte, which no environment variable can; encode it as base64 and let the app decode it")
	case len(name)+len(text) > r.Limits.Value:
		return job.Rejectf("its value has %d bytes; a variable of a machine takes at most %d with its name", len(text), r.Limits.Value)
	}
	return nil
}
