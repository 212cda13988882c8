package install

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/assemble"
)

// Images gives the images of FlyCD's two programs.
type Images interface {
	// Find says which image a part is to run, and whether a registry has it. It sends nothing; repository is where an image
	// that is made here goes (registry.fly.io/APP).
	Find(ctx context.Context, part Part, repository string) (Image, error)
	// Send makes the registry have the image. It may be repeated.
	Send(ctx context.Context, img Image) error
}

// Published are images that a registry has.
type Published struct {
	// Dispatcher and Runner are references: repository:tag, or with a digest.
	Dispatcher, Runner string
	Registry           image.Registry
}

// Find implements Images: it asks for the digest.
func (p Published) Find(ctx context.Context, part Part, _ string) (Image, error) {
	ref := p.Dispatcher
	if part == Runner {
		ref = p.Runner
	}
	got, err := p.Registry.Resolve(ctx, ref)
	return Image{Ref: got.String(), There: true}, err
}

// Send implements Images. There is nothing to send.
func (p Published) Send(context.Context, Image) error { return nil }

// Compiled are images that are made here, of FlyCD's sources. It may be shared.
type Compiled struct {
	Own      assemble.Own
	Registry image.Registry

	mu   sync.Mutex
	made map[Part]Image
}

// Find implements Images: it compiles, once, and asks the registry for the tag that the content gives.
func (c *Compiled) Find(ctx context.Context, part Part, repository string) (Image, error) {
	img, err := c.make(ctx, part)
	if err != nil {
		return Image{}, err
	}
	_, hex, _ := strings.Cut(img.made.Digest(), ":")
	named := image.Reference{Name: fmt.Sprintf("%s:%s-%s", repository, part, hex[:min(16, len(hex))]), Digest: img.made.Digest()}
	img.Ref = named.String()
	// A registry that denies, or does not know the repository yet, is asked again when the image is sent.
	there, found, err := c.Registry.Exists(ctx, named.Name)
	img.There = err == nil && found && there.Digest == named.Digest
	return img, ctxError(ctx)
}

func ctxError(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (c *Compiled) make(ctx context.Context, part Part) (Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img, ok := c.made[part]; ok {
		return img, nil
	}
	var img Image
	var err error
	if part == Runner {
		img.made, img.Warnings, err = c.Own.Runner(ctx)
	} else {
		img.made, err = c.Own.Dispatcher(ctx)
	}
	if err != nil {
		return Image{}, fmt.Errorf("make the %s's image: %w", part, err)
	}
	if c.made == nil {
		c.made = map[Part]Image{}
	}
	c.made[part] = img
	return img, nil
}

// Send implements Images.
func (c *Compiled) Send(ctx context.Context, img Image) error {
	name, digest, ok := strings.Cut(img.Ref, "@")
	if !ok {
		return fmt.Errorf("send image %s: its digest is not known", img.Ref)
	}
	sent, err := c.Registry.Push(ctx, img.made, name)
	if err == nil && sent.Digest != digest {
		err = errors.New("the registry has another image under its name")
	}
	if err != nil {
		return fmt.Errorf("send image %s: %w", name, err)
	}
	return nil
}
