package assemble

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/gigurra/flycd/shared/image"
)

// authorities is the layer with the certificate authorities that Mozilla trusts, where every program of the image looks
// for them. They come with this binary, so every machine makes the same layer. Those that are trusted only up to a
// date, which a file cannot say, are left out.
func authorities() image.Layer {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
	}
	return image.Layer{Name: "authorities", Files: []image.File{{Path: "/etc/ssl/certs/ca-certificates.crt", Content: text.Bytes()}}}
}
