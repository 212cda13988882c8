package forge

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/go-github/v60/github"
)

// request is a call by way of go-github's client, which knows the forge's limits and errors, with small types of our own
// in place of its: they are all that the dispatcher links.
type request struct {
	// method is GET where it is empty.
	method string
	// path is below the API's address; parts that are not ours are escaped.
	path  string
	query url.Values
	body  any
}

func call(ctx context.Context, api *github.Client, r request, into any) error {
	_, err := callPage(ctx, api, r, into)
	return err
}

// callPage gives the number of the next page as well; zero after the last.
func callPage(ctx context.Context, api *github.Client, r request, into any) (int, error) {
	if len(r.query) > 0 {
		r.path += "?" + r.query.Encode()
	}
	req, err := api.NewRequest(cmp.Or(r.method, http.MethodGet), r.path, r.body)
	if err != nil {
		return 0, err
	}
	resp, err := api.Do(ctx, req, into)
	if err != nil {
		return 0, err
	}
	return resp.NextPage, nil
}

// find reads a list page by page until an element is the one that is looked for.
func find[T any](ctx context.Context, api *github.Client, r request, is func(T) bool) (T, bool, error) {
	query := url.Values{"per_page": {"100"}}
	for k, v := range r.query {
		query[k] = v
	}
	var none T
	page := 1
	for range pages {
		var list []T
		r.query = query
		r.query.Set("page", strconv.Itoa(page))
		next, err := callPage(ctx, api, r, &list)
		if err != nil {
			return none, false, err
		}
		for _, x := range list {
			if is(x) {
				return x, true, nil
			}
		}
		if page = next; page == 0 {
			break
		}
	}
	return none, false, nil
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
