package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/source"
)

// pushEvent is the part of GitHub's push event that FlyCD reads.
type pushEvent struct {
	Ref        string         `json:"ref"`
	Before     string         `json:"before"`
	After      string         `json:"after"`
	Created    bool           `json:"created"`
	Deleted    bool           `json:"deleted"`
	Forced     bool           `json:"forced"`
	Repository pushRepository `json:"repository"`
	Sender     pushSender     `json:"sender"`
}

type pushRepository struct {
	FullName      string `json:"full_name"`
	CloneURL      string `json:"clone_url"`
	DefaultBranch string `json:"default_branch"`
	PushedAt      int64  `json:"pushed_at"`
}

type pushSender struct {
	Login string `json:"login"`
}

// payload is the body of the webhook for a change of the config repository.
func (w *world) payload(change source.Change) ([]byte, error) {
	body, err := json.Marshal(pushEvent{
		Ref: "refs/heads/main", Before: change.Before, After: change.After,
		Repository: pushRepository{"local/config", w.config().Repo, "main", time.Now().Unix()},
		Sender:     pushSender{"you"},
	})
	if err != nil {
		return nil, fmt.Errorf("encode push: %w", err)
	}
	return body, nil
}

// sign gives the header that proves a body to be from one who knows the secret.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// push sends the signed webhook for a change, as a forge does.
func (w *world) push(ctx context.Context, change source.Change) (queue.Answer, error) {
	body, err := w.payload(change)
	if err != nil {
		return queue.Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.hookURL+"/webhook", bytes.NewReader(body))
	if err != nil {
		return queue.Answer{}, fmt.Errorf("push: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", rand.Text())
	req.Header.Set("X-Hub-Signature-256", sign(w.secret, body))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return queue.Answer{}, fmt.Errorf("push: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer queue.Answer
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("push: the dispatcher answered %s: %w", res.Status, err)
	}
	if res.StatusCode != http.StatusAccepted {
		return answer, fmt.Errorf("push: the dispatcher answered %s", res.Status)
	}
	return answer, nil
}
