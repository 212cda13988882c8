package flysim_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// FuzzParseFaults: what is accepted can be set, written and read again; nothing panics.
func FuzzParseFaults(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"match":{"method":"POST","path":"*/machines","nth":2,"probability":0.5},"do":{"status":503,"body":{"error":"x"},"after":true,"repeat":-1}}]`,
		`[{"do":{"drop":"after","delay_ms":1}}]`, `[{"do":{"status":200,"body":"text"}}]`, `null`, `[] []`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := flysim.ParseFaults(text)
		if err != nil {
			return
		}
		written, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := flysim.ParseFaults(written)
		if err != nil || len(again) != len(list) {
			t.Fatalf("%s reads as %v %v", written, again, err)
		}
	})
}

// FuzzCreateBody: any body is answered, a machine that was accepted lives on, and what lists show is
// JSON.
func FuzzCreateBody(f *testing.F) {
	text, err := os.ReadFile("testdata/flyctl-bodies.json")
	if err != nil {
		f.Fatal(err)
	}
	var bodies []struct {
		Kind string
		Body json.RawMessage
	}
	if err := json.Unmarshal(text, &bodies); err != nil {
		f.Fatal(err)
	}
	for _, b := range bodies {
		if b.Kind == "create" {
			f.Add([]byte(b.Body))
		}
	}
	f.Add([]byte(`{"config":{"image":":@/","containers":[null],"services":[{"autostop":null}],"guest":null,"mounts":[null],"metadata":{"a":1}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := flysim.New(flysim.Options{})
		defer func() { _ = s.Close() }()
		ask := func(method, path string, body []byte) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body)))
			if w.Code >= 500 {
				t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
			return w
		}
		ask(http.MethodPost, "/v1/apps", []byte(`{"name":"a","org_slug":"o"}`))
		made := ask(http.MethodPost, "/v1/apps/a/machines", body)
		s.Advance(time.Minute)
		var list []struct{ ID, State string }
		if err := json.Unmarshal(ask(http.MethodGet, "/v1/apps/a/machines", nil).Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		if made.Code == http.StatusOK && len(list) != 1 {
			t.Fatalf("accepted, but %d machines", len(list))
		}
		if made.Code == http.StatusOK {
			ask(http.MethodPost, "/v1/apps/a/machines/"+list[0].ID, body)
			ask(http.MethodPost, "/v1/apps/a/machines/"+list[0].ID+"/metadata/k", []byte(`{"value":"v"}`))
			s.Advance(time.Minute)
			ask(http.MethodDelete, "/v1/apps/a/machines/"+list[0].ID+"?kill=true", nil)
		}
		ask(http.MethodGet, "/_sim/state", nil)
	})
}

// FuzzGraphQL: any query is answered with JSON.
func FuzzGraphQL(f *testing.F) {
	for _, query := range wholeQueries {
		f.Add(query)
	}
	f.Add(`{ app(name: "a") { ...F machines(first: 1, last: -2) { nodes { config app { name } } } } } fragment F on App { x: releases { nodes { user { email } } } ...F }`)
	f.Add(`query($a: [String] = ["x", $b]) { addOns(type: redis) { edges { cursor node { addOnProvider { name } } } } }`)
	f.Fuzz(func(t *testing.T, query string) {
		s := flysim.New(flysim.Options{})
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		ask := func(method, path string, body any) *httptest.ResponseRecorder {
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(text)))
			return w
		}
		ask(http.MethodPost, "/v1/apps", map[string]string{"name": "a", "org_slug": "personal"})
		w := ask(http.MethodPost, "/graphql", map[string]any{"query": query, "variables": map[string]any{"appName": "a", "imageRef": "x"}})
		if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
