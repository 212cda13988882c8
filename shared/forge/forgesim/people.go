package forgesim

import (
	"context"
	"fmt"
)

// Pull is a pull request that somebody opens.
type Pull struct {
	// Repo is OWNER/NAME, where it is to be merged into the branch Base (default: the default branch).
	Repo string `json:"repo"`
	Base string `json:"base"`
	// Head is the branch, HeadRepo its repository where it is a fork.
	Head     string `json:"head"`
	HeadRepo string `json:"head_repo"`
	Title    string `json:"title"`
	Body     string `json:"body"`
	// User opens it (default: the owner of the branch).
	User string `json:"user"`
}

// OpenPull opens a pull request, waits for the deliveries and gives its number.
func (s *Server) OpenPull(ctx context.Context, in Pull) (int64, []Delivery, error) {
	s.mu.Lock()
	r, err := s.named(in.Repo)
	var p *pull
	var list []*delivery
	if err == nil {
		p, list, err = s.openPull(r, in)
	}
	s.mu.Unlock()
	if err != nil {
		return 0, nil, fmt.Errorf("open pull request: %w", err)
	}
	landed, err := s.landed(ctx, list)
	return p.number, landed, err
}

// ClosePull closes a pull request, merged or not.
func (s *Server) ClosePull(ctx context.Context, full string, number int64, merged bool) ([]Delivery, error) {
	s.mu.Lock()
	r, err := s.named(full)
	var list []*delivery
	if err == nil {
		if p := r.pull(number); p == nil {
			err = fmt.Errorf("%s has no pull request %d", full, number)
		} else {
			list = s.closePull(r, p, merged)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("close pull request: %w", err)
	}
	return s.landed(ctx, list)
}

// Comment is what somebody says to a pull request.
type Comment struct {
	Repo   string `json:"repo"`
	Number int64  `json:"number"`
	Body   string `json:"body"`
	User   string `json:"user"`
}

// Comment comments on a pull request and waits for the deliveries.
func (s *Server) Comment(ctx context.Context, in Comment) ([]Delivery, error) {
	s.mu.Lock()
	r, err := s.named(in.Repo)
	var list []*delivery
	if err == nil {
		if p := r.pull(in.Number); p == nil {
			err = fmt.Errorf("%s has no pull request %d", in.Repo, in.Number)
		} else {
			_, list = s.comment(r, p, in.Body, in.User)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("comment: %w", err)
	}
	return s.landed(ctx, list)
}

func (s *Server) postPull(ctx context.Context, in Pull) (any, error) {
	number, list, err := s.OpenPull(ctx, in)
	return obj{"number": number, "deliveries": listed(list)}, err
}

func (s *Server) putPull(ctx context.Context, in struct {
	Repo   string `json:"repo"`
	Number int64  `json:"number"`
	State  string `json:"state"`
	Merged bool   `json:"merged"`
},
) (any, error) {
	if in.State != "closed" {
		return nil, fmt.Errorf("state %q: a pull request can be closed, and no more", in.State)
	}
	list, err := s.ClosePull(ctx, in.Repo, in.Number, in.Merged)
	return obj{"deliveries": listed(list)}, err
}

func (s *Server) postComment(ctx context.Context, in Comment) (any, error) {
	list, err := s.Comment(ctx, in)
	return obj{"deliveries": listed(list)}, err
}
