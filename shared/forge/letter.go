package forge

import (
	"encoding/json"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// letter is the body of a letter in the outbox: one of its members below Repo is there. It is public, as Redis's content
// is, and holds no secret: a destination is named, its address is not.
type letter struct {
	Repo string `json:"repo,omitempty"`
	// Commit is what a status is of.
	Commit string  `json:"commit,omitempty"`
	Status *Status `json:"status,omitempty"`
	// Settled is true where a status that says the same in other words is good enough.
	Settled    bool        `json:"settled,omitempty"`
	Deployment *Deployment `json:"deployment,omitempty"`
	// Pull is the pull request of a comment.
	Pull    int      `json:"pull,omitempty"`
	Comment *Comment `json:"comment,omitempty"`
	// To is the name of a notice's destination.
	To     string  `json:"to,omitempty"`
	Notice *Notice `json:"notice,omitempty"`
}

// mail collects the letters that one event makes.
type mail struct {
	event queue.Event
	list  []queue.Letter
}

// add appends a letter. Its id comes from the event, so that it is the same whoever words it.
func (m *mail) add(channel, kind string, l letter) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	m.list = append(m.list, queue.Letter{ID: m.event.ID + "." + kind, Channel: oneLine(channel, 500), Body: body})
	return nil
}

// subject names what a job is about in a channel's name: letters of one subject keep their order.
func subject(j job.Job) string {
	if j.App != "" {
		return j.App
	}
	return j.Subject()
}
