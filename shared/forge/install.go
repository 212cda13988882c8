package forge

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"
)

// want is what a token shall be able to do.
type want struct {
	repo   string
	rights map[string]string
}

// wireInstallation is an installation with its rights by name: go-github has a field for each, in the order of a form.
type wireInstallation struct {
	ID          int64             `json:"id"`
	Permissions map[string]string `json:"permissions"`
	SuspendedAt *time.Time        `json:"suspended_at"`
}

func findInstallation(ctx context.Context, api *github.Client, p place) (installation, error) {
	var in wireInstallation
	if err := call(ctx, api, request{path: "repos/" + p.String() + "/installation"}, &in); err != nil {
		return installation{}, err
	}
	if in.SuspendedAt != nil {
		return installation{}, &Failure{Op: "find the GitHub App on " + p.String(), Why: "its installation is suspended", cause: ErrDenied}
	}
	return installation{id: in.ID, may: in.Permissions}, nil
}

func mintToken(ctx context.Context, api *github.Client, id int64, w want) (Token, error) {
	body := struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}{[]string{w.repo}, w.rights}
	var made struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := call(ctx, api, request{method: http.MethodPost, path: "app/installations/" + itoa(id) + "/access_tokens", body: body}, &made); err != nil {
		return Token{}, err
	}
	if made.Token == "" {
		return Token{}, errors.New("the forge answered without a token")
	}
	return Token{Value: made.Token, Expires: made.ExpiresAt}, nil
}
