package dispatcher_test

import (
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// A Redis that is full still answers what is read. What it does not write is not accepted, and a
// redelivery is, once there is room.
func TestFullRedisAcceptsNothing(t *testing.T) {
	h := open(t, roots(t, hello), at(queuetest.Redis(t)))
	if err := h.q.Ping(t.Context()); err != nil { // the layout's version is there
		t.Fatal(err)
	}
	o, err := redis.ParseURL(h.redis)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	memory := func(most string) {
		if err := rdb.ConfigSet(t.Context(), "maxmemory", most).Err(); err != nil {
			t.Fatal(err)
		}
	}
	memory("1")
	if got := h.push("guid", payload(t, "push.branch.json")); got.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s of a full Redis", got.status, got.text)
	}
	memory("0")
	if got := h.push("guid", payload(t, "push.branch.json")); got.status != http.StatusAccepted || len(got.Jobs) != 1 {
		t.Errorf("redelivered: got %d %s", got.status, got.text)
	}
}
