package fly

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func newRelease() Release {
	return Release{App: testApp, Image: imageOne, Strategy: "canary", Definition: json.RawMessage(`{"app":"shop","primary_region":"ams"}`)}
}

type recorded struct {
	ID, Status, Strategy string
	Version              int
	Metadata             struct {
		Info struct{ Error string } `json:"post_deployment_info"`
	}
}

func (w *world) releases(t *testing.T) []recorded {
	t.Helper()
	var out []recorded
	if err := json.Unmarshal(w.app(t).Releases, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReleaseIsRecordedAndReadBack(t *testing.T) {
	w := deployed(t, flysim.Options{})
	c := w.client(t)
	if last, err := c.LastRelease(t.Context(), testApp); err != nil || last.ID != "" {
		t.Fatalf("before there is one: %+v, %v", last, err)
	}
	first, err := c.StartRelease(t.Context(), newRelease())
	if err != nil || first.ID == "" || first.Version != 1 {
		t.Fatalf("record %+v, %v", first, err)
	}
	if err := c.EndRelease(t.Context(), first, "complete", ""); err != nil {
		t.Fatal(err)
	}
	second, err := c.StartRelease(t.Context(), newRelease())
	if err != nil || second.Version != 2 {
		t.Fatalf("record %+v, %v", second, err)
	}
	if got := w.releases(t)[1].Status; got != "running" {
		t.Errorf("a release that began is %s", got)
	}
	if err := c.EndRelease(t.Context(), second, "failed", "no machine with "+testToken+" runs"); err != nil {
		t.Fatal(err)
	}
	last, err := c.LastRelease(t.Context(), testApp)
	if err != nil || last.ID != first.ID || last.Version != 1 || last.Strategy != "canary" || last.Image != imageOne {
		t.Errorf("the last complete release: %+v, %v", last, err)
	}
	if !strings.Contains(string(last.Definition), `"primary_region"`) {
		t.Errorf("its definition: %s", last.Definition)
	}
	if got := w.releases(t)[1]; got.Status != "failed" || got.Strategy != "CANARY" || !strings.Contains(got.Metadata.Info.Error, "runs") || strings.Contains(got.Metadata.Info.Error, testToken) {
		t.Errorf("the failed release: %+v", got)
	}
	if err := c.EndRelease(t.Context(), ReleaseRecord{}, "failed", ""); err != nil {
		t.Errorf("end of a release that was never recorded: %v", err)
	}
}

func TestLostAnswerRecordsNoSecondRelease(t *testing.T) {
	for _, status := range []int{0, 408, 429, 500, 502, 503} {
		w := deployed(t, flysim.Options{})
		w.road.breaks(
			&fault{method: http.MethodPost, path: `/api/v1/releases$`, nth: 1, status: status, after: status != 429, header: http.Header{"Retry-After": {"0"}}},
			&fault{method: http.MethodPatch, path: `/api/v1/releases/`, nth: 1, status: status, after: true, header: http.Header{"Retry-After": {"0"}}},
		)
		record, err := w.client(t).StartRelease(t.Context(), newRelease())
		if all := w.releases(t); err != nil || len(all) != 1 || all[0].ID != record.ID || all[0].Status != "running" {
			t.Errorf("after %d: %+v, %v", status, all, err)
		}
	}
}

func TestReleaseThatCannotBeRecordedIsASentence(t *testing.T) {
	w := deployed(t, flysim.Options{})
	w.road.breaks(&fault{method: http.MethodPost, path: `/api/v1/releases$`, status: 403, body: `{"error":"not for deploy tokens"}`})
	_, err := w.client(t).StartRelease(t.Context(), newRelease())
	if err == nil || !strings.Contains(err.Error(), "record a release of shop") || !strings.Contains(err.Error(), "not for deploy tokens") {
		t.Errorf("error: %v", err)
	}
}
