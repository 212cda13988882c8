package forge

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// maxComment is what GitHub takes of a comment, in characters.
const maxComment = 65536

// Comment is the one comment that a pull request has of one subject.
type Comment struct {
	// Subject tells it from our other comments there. It is hidden in the comment.
	Subject string `json:"subject"`
	// Body is Markdown, in which foreign text must be inert already.
	Body string `json:"body"`
}

// marker is the comment's first line, which nobody sees.
func (m Comment) marker() string {
	return "<!-- flycd: " + strings.NewReplacer("--", "- -", ">", "").Replace(oneLine(m.Subject, 300)) + " -->"
}

func (m Comment) text() string {
	return clip(m.marker()+"\n"+m.Body, maxComment)
}

type wireComment struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
	User struct {
		Login string `json:"login"`
	} `json:"user"`
}

// Comment writes a comment on a pull request, or brings the one that is there up to date. Only a comment of our own is
// ever changed, whatever another one says. Safe to repeat.
func (c *Client) Comment(ctx context.Context, repo string, number int, m Comment) error {
	if number < 1 {
		return job.Rejectf("comment on pull request %d: there is none", number)
	}
	p, err := c.open(ctx, repo, ForReports)
	if err != nil {
		return err
	}
	me, err := c.self(ctx, p)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("repos/%s/issues/%d/comments", p, number)
	have, found, err := find(ctx, p.api, request{path: path}, func(w wireComment) bool {
		return strings.EqualFold(w.User.Login, me) && strings.HasPrefix(w.Body, m.marker())
	})
	if err != nil {
		return c.failure(err, "list comments of %s#%d", p, number)
	}
	body := struct {
		Body string `json:"body"`
	}{m.text()}
	switch {
	case !found:
		err = call(ctx, p.api, request{method: http.MethodPost, path: path, body: body}, nil)
	case strings.ReplaceAll(have.Body, "\r\n", "\n") != body.Body:
		path = "repos/" + p.String() + "/issues/comments/" + itoa(have.ID)
		err = call(ctx, p.api, request{method: http.MethodPatch, path: path, body: body}, nil)
	}
	return c.failure(err, "comment on %s#%d", p, number)
}

// self is the name that our comments have. It is asked once.
func (c *Client) self(ctx context.Context, p place) (string, error) {
	c.mu.Lock()
	me := c.me
	c.mu.Unlock()
	if me != "" {
		return me, nil
	}
	var who struct{ Login, Slug string }
	var err error
	if c.App == nil {
		err = call(ctx, p.api, request{path: "user"}, &who)
	} else {
		api, e := c.door("app", itself{c})
		if e != nil {
			return "", e
		}
		if err = call(ctx, api, request{path: "app"}, &who); who.Slug != "" {
			who.Login = who.Slug + "[bot]"
		}
	}
	if err != nil || who.Login == "" {
		return "", c.failure(orMissing(err), "ask the forge who we are")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.me = who.Login
	return c.me, nil
}

func orMissing(err error) error {
	if err == nil {
		return fmt.Errorf("it did not say")
	}
	return err
}
