package buildkit

import (
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
)

// Broken when: what two steps print at the same time is put together as it comes.
func TestValueInPiecesOfTwoStepsIsTakenOut(t *testing.T) {
	var log strings.Builder
	p := newProgress(image.Request{Log: &log, Secrets: map[string]manifest.Secret{"A": manifest.NewSecret("hunter2-secret")}})
	now := time.Now()
	one, two := digest.FromString("1"), digest.FromString("2")
	begun := func(d digest.Digest, name string) *client.Vertex {
		return &client.Vertex{Digest: d, Name: name, Started: &now}
	}
	said := func(d digest.Digest, text string) *client.VertexLog {
		return &client.VertexLog{Vertex: d, Data: []byte(text), Timestamp: now}
	}
	ended := begun(one, "RUN one")
	ended.Completed = &now
	states := make(chan *client.SolveStatus)
	done := make(chan struct{})
	go func() {
		p.follow(t.Context(), states)
		close(done)
	}()
	for _, s := range []*client.SolveStatus{
		{Vertexes: []*client.Vertex{begun(one, "RUN one"), begun(two, "RUN echo hunter2-secret")}},
		{Logs: []*client.VertexLog{said(one, "a\nb hunter2")}},
		{Logs: []*client.VertexLog{said(two, "c hunt")}},
		{Logs: []*client.VertexLog{said(one, "-secret")}},
		{Logs: []*client.VertexLog{said(two, "er2-secret d")}, Vertexes: []*client.Vertex{ended}},
	} {
		states <- s
	}
	close(states)
	<-done
	if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "-secret") {
		t.Errorf("the log tells the value:\n%s", &log)
	}
	for _, want := range []string{"RUN echo [secret]\n", " a\n", " b [secret]\n", " c [secret] d"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
	if one, two := p.step(one).last(), p.step(two).last(); one != "a\nb [secret]" || two != "c [secret] d" {
		t.Errorf("last lines %q and %q", one, two)
	}
}
