package fly

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/plan"
)

// certList lists the app's certificates, page by page.
func (c *Client) certList(ctx context.Context, app string) ([]flygo.CertificateSummary, error) {
	var list []flygo.CertificateSummary
	err := c.lookList(ctx, "list certificates of "+app, func(ctx context.Context) error {
		list = list[:0]
		for opts := (&flaps.ListCertificatesOpts{}); ; {
			page, err := c.flaps.ListCertificates(ctx, app, opts)
			if err != nil {
				return err
			}
			list = append(list, page.Certificates...)
			if page.NextCursor == "" || page.NextCursor == opts.Cursor {
				return nil
			}
			opts.Cursor = page.NextCursor
		}
	})
	return list, err
}

// certs gives the app's certificates by host name. Only those that are not issued are asked about one by one, for
// the DNS records that they wait for.
func (c *Client) certs(ctx context.Context, app string) ([]plan.Cert, error) {
	list, err := c.certList(ctx, app)
	if err != nil {
		return nil, err
	}
	out := make([]plan.Cert, len(list))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	for i, s := range list {
		out[i] = plan.Cert{Hostname: s.Hostname, Issued: s.Configured && (s.HasFlyCertificate || s.HasCustomCertificate)}
		if out[i].Issued {
			continue
		}
		g.Go(func() (err error) { out[i].Pending, err = c.pendingOf(gctx, app, s.Hostname); return err })
	}
	err = g.Wait()
	slices.SortFunc(out, func(a, b plan.Cert) int { return cmp.Compare(a.Hostname, b.Hostname) })
	return out, err
}

// pendingOf gives the DNS records that a certificate waits for. One that is gone meanwhile waits for
// nothing.
func (c *Client) pendingOf(ctx context.Context, app, host string) ([]string, error) {
	var detail *flygo.CertificateDetailResponse
	err := c.look(ctx, func(ctx context.Context) (err error) {
		detail, err = c.flaps.GetCertificate(ctx, app, host)
		return err
	})
	if err != nil {
		if fateOf(ctx, err) == missing {
			return nil, nil
		}
		return nil, c.explain(ctx, fmt.Sprintf("look at the certificate of %s", host), err)
	}
	return recordsOf(detail), nil
}

// recordsOf says which DNS records are still to be made, a line each. A host name leads to the app by
// addresses; a name that is no apex may be an alias instead, which the line says. The
// challenge is what a wildcard is proven by, and the ownership record what a name behind somebody else's proxy is.
func recordsOf(d *flygo.CertificateDetailResponse) []string {
	var out []string
	need, wildcard := d.DNSRequirements, strings.HasPrefix(d.Hostname, "*.")
	if !d.Validation.DNSConfigured || !d.Configured {
		for _, a := range need.A {
			out = append(out, fmt.Sprintf("A %s → %s", d.Hostname, a))
		}
		for _, a := range need.AAAA {
			out = append(out, fmt.Sprintf("AAAA %s → %s", d.Hostname, a))
		}
		switch {
		case need.CNAME == "":
		case len(out) == 0:
			out = append(out, fmt.Sprintf("CNAME %s → %s", d.Hostname, need.CNAME))
		default:
			out = append(out, fmt.Sprintf("or, where the name is no apex, instead of these: CNAME %s → %s", d.Hostname, need.CNAME))
		}
	}
	if c := need.ACMEChallenge; wildcard && c.Name != "" && c.Target != "" {
		out = append(out, fmt.Sprintf("CNAME %s → %s", c.Name, c.Target))
	}
	if o := need.Ownership; !d.Validation.OwnershipTxtConfigured && o.Name != "" && o.AppValue != "" && len(need.AAAA) == 0 && !wildcard {
		out = append(out, fmt.Sprintf("TXT %s → %s", o.Name, o.AppValue))
	}
	for _, e := range d.ValidationErrors {
		out = append(out, strings.Join(strings.Fields(e.Message+" "+e.Remediation), " "))
	}
	return out
}

// lookAtCerts lists the host names again. A host name that was just added may not be listed yet.
func (ch *Change) lookAtCerts(ctx context.Context) error {
	list, err := ch.client.certList(ctx, ch.app)
	if err == nil {
		ch.certs = map[string]bool{}
		for _, c := range list {
			ch.certs[c.Hostname] = true
		}
	}
	return err
}

// hasCert reports whether the app has the certificate: by what is known, or, if fresh, by looking.
func (ch *Change) hasCert(ctx context.Context, host string, fresh bool) (bool, error) {
	if fresh || ch.certs == nil {
		if err := ch.lookAtCerts(ctx); err != nil {
			return false, err
		}
	}
	return ch.certs[host], nil
}

func (ch *Change) addCert(ctx context.Context, s plan.AddCert) error {
	ch.certMu.Lock()
	defer ch.certMu.Unlock()
	return ch.bring(ctx, &certAddition{ch, strings.ToLower(s.Hostname)})
}

type certAddition struct {
	ch   *Change
	host string
}

func (e *certAddition) String() string {
	return fmt.Sprintf("add the certificate of %s to %s", e.host, e.ch.app)
}

func (e *certAddition) seen(ctx context.Context, fresh bool) (bool, error) {
	return e.ch.hasCert(ctx, e.host, fresh)
}

func (e *certAddition) do(ctx context.Context) error {
	_, err := e.ch.client.flaps.CreateACMECertificate(ctx, e.ch.app, flygo.CreateCertificateRequest{Hostname: e.host})
	if err == nil {
		e.ch.certs[e.host] = true
		return nil
	}
	if status, body := answerOf(err); status == 0 || fateOf(ctx, err) != taken || !strings.Contains(strings.ToLower(string(body)), "taken") {
		return err
	}
	// it may be ours, from a try whose answer was lost
	if ok, serr := e.ch.watch(ctx, e); ok || serr != nil {
		return serr
	}
	return reject(ErrRefused, fmt.Sprintf("%s: another app on Fly has the host name: remove it there (`fly certs remove %s -a APP`), or choose another one",
		e, e.host))
}

func (ch *Change) removeCert(ctx context.Context, s plan.RemoveCert) error {
	ch.certMu.Lock()
	defer ch.certMu.Unlock()
	return ch.bring(ctx, &certRemoval{ch, strings.ToLower(s.Hostname)})
}

type certRemoval struct {
	ch   *Change
	host string
}

func (e *certRemoval) String() string {
	return fmt.Sprintf("remove the certificate of %s from %s", e.host, e.ch.app)
}

func (e *certRemoval) seen(ctx context.Context, fresh bool) (bool, error) {
	has, err := e.ch.hasCert(ctx, e.host, fresh)
	return !has && err == nil, err
}

func (e *certRemoval) do(ctx context.Context) error {
	err := e.ch.client.flaps.DeleteCertificate(ctx, e.ch.app, e.host)
	if err != nil && fateOf(ctx, err) != missing {
		return err
	}
	delete(e.ch.certs, e.host)
	return nil
}
