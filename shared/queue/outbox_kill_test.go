package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/queue"
)

// senderEnv makes the test binary a process that delivers until it is killed: where the letters go. The URL and the
// prefix of the queue are named as for TestHolder's.
const senderEnv, urlEnv = "FLYCD_TEST_SENDER", "FLYCD_TEST_REDIS"

// killedLease is how long a killed sender keeps its channel: longer than what it sent may be on its way.
const killedLease = 5 * time.Second

// arrival is a letter as it is sent.
type arrival struct {
	Channel, ID string
	Unsure      bool
}

// TestSender is that process, and does nothing otherwise.
func TestSender(t *testing.T) {
	box := os.Getenv(senderEnv)
	if box == "" {
		return
	}
	q, err := queue.Open(os.Getenv(urlEnv), os.Getenv(prefixEnv))
	if err != nil {
		t.Fatal(err)
	}
	for {
		if err := deliver(t.Context(), q, killedLease, func(l queue.Letter) error { return post(t.Context(), box, l) }); err != nil {
			t.Fatal(err)
		}
	}
}

func post(ctx context.Context, box string, l queue.Letter) error {
	b, err := json.Marshal(arrival{l.Channel, l.ID, l.Unsure})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, box, bytes.NewReader(b))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// listen takes letters in.
func listen(t *testing.T, box *postbox) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var a arrival
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			return // its sender was killed while it wrote
		}
		box.receive(a.Channel, a.ID, a.Unsure)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Broken when: processes that are killed anywhere lose a letter, double it, or send it in another order.
func TestKilledProcessesLoseAndDoubleNoLetter(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server(t)
			q, box := open(t, url), &postbox{}
			to := listen(t, box)
			var killers sync.WaitGroup
			for range 2 {
				killers.Go(func() {
					for range 8 {
						child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestSender$")
						child.Env = append(os.Environ(), senderEnv+"="+to, urlEnv+"="+url, prefixEnv+"="+q.Prefix())
						if err := child.Start(); err != nil {
							t.Error(err)
							return
						}
						time.Sleep(50*time.Millisecond + mathrand.N(200*time.Millisecond))
						_ = child.Process.Kill()
						_ = child.Wait()
					}
				})
			}
			for i := range 150 {
				push(t, q, deployJob(fmt.Sprint("app-", i%10), "", fmt.Sprint("c", i), int64(i+1)))
				time.Sleep(10 * time.Millisecond)
			}
			killers.Wait()
			drain(t, q, killedLease, box)
			box.check(t, q)
			t.Logf("%d letters came twice", box.twice)
		})
	}
}
