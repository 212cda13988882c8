package forge

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"github.com/google/go-github/v60/github"
)

// request is a call that go-github has no better words for.
type request struct {
	// method is GET where it is empty.
	method, path string
	body         any
}

func call(ctx context.Context, api *github.Client, r request, into any) error {
	req, err := api.NewRequest(cmp.Or(r.method, http.MethodGet), r.path, r.body)
	if err != nil {
		return err
	}
	_, err = api.Do(ctx, req, into)
	return err
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
