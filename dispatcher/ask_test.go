package dispatcher

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
)

// FuzzAsk looks for a body of POST /dispatch that is half understood.
func FuzzAsk(f *testing.F) {
	for _, s := range []string{`{"app":"web"}`, `{"repo":"https://github.com/a/b","ref":"main","path":"x","trees":true,"force":true}`, `{"app":"web"}{}`, "{", `{"a":1}`, "null", ` {"app":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := (&Server{}).readAsk(httptest.NewRecorder(), httptest.NewRequest("POST", "/dispatch", strings.NewReader(string(body))))
		if err != nil {
			if !errors.Is(err, errAsking) || len(err.Error()) > 500 {
				t.Errorf("an error of no sort: %v", err)
			}
			return
		}
		if strings.ContainsFunc(a.App+a.Repo+a.Ref+a.Path, unicode.IsControl) {
			t.Errorf("a control character in %+v", a)
		}
		text, err := json.Marshal(a)
		again, rerr := (&Server{}).readAsk(httptest.NewRecorder(), httptest.NewRequest("POST", "/dispatch", strings.NewReader(string(text))))
		if err != nil || rerr != nil || again != a {
			t.Errorf("%+v is read again as %+v, %v, %v", a, again, err, rerr)
		}
	})
}

// FuzzAsking looks for a body of POST /grant that is taken for a machine's without naming one.
func FuzzAsking(f *testing.F) {
	for _, s := range []string{`{"job":"x","attempt":1,"machine":"m","ticket":"t"}`, `{"job":"x","attempt":1e400,"machine":"m"}`, "[]", "{}", "null"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := (&Server{}).readAsking(httptest.NewRecorder(), httptest.NewRequest("POST", "/grant", strings.NewReader(string(body))))
		if (err == nil) != (a.Job != "" && a.Attempt > 0 && a.Machine != "") && !errors.Is(err, errAsking) {
			t.Errorf("got %+v, %v", a, err)
		}
	})
}
