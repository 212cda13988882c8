package flysim

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	dockerHub = "registry-1.docker.io"
	hubMirror = "docker-hub-mirror.fly.io"
)

// imageRef is an image reference in its parts.
type imageRef struct {
	Registry   string            `json:"registry"`
	Repository string            `json:"repository"`
	Tag        string            `json:"tag"`
	Digest     string            `json:"digest"`
	Labels     map[string]string `json:"labels"`
}

// parseImage takes a reference apart. One without a digest gets one that its text decides, so that
// the same tag is always the same image.
func parseImage(ref string) imageRef {
	out := imageRef{Registry: dockerHub, Labels: map[string]string{}}
	rest, sum, pinned := strings.Cut(ref, "@")
	if slash := strings.LastIndexByte(rest, '/'); strings.LastIndexByte(rest, ':') > slash {
		colon := strings.LastIndexByte(rest, ':')
		rest, out.Tag = rest[:colon], rest[colon+1:]
	} else if !pinned {
		out.Tag = "latest"
	}
	if host, repo, found := strings.Cut(rest, "/"); found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		out.Registry, rest = host, repo
	} else if !found {
		rest = "library/" + rest
	}
	out.Repository, out.Digest = rest, sum
	if !pinned {
		hash := sha256.Sum256([]byte(out.name() + ":" + out.Tag))
		out.Digest = "sha256:" + hex.EncodeToString(hash[:])
	}
	return out
}

// name is the reference without tag and digest. Fly's mirror of Docker Hub holds the same images.
func (r imageRef) name() string {
	if r.Registry == hubMirror {
		return dockerHub + "/" + r.Repository
	}
	return r.Registry + "/" + r.Repository
}

// fate is what Options.Images says about an image: by its whole reference first, then by its
// repository.
func (s *Server) fate(image string) Behavior {
	if b, is := s.images[image]; is {
		return b
	}
	name := parseImage(image).name()
	for ref, b := range s.images {
		if !strings.ContainsAny(ref[strings.LastIndexByte(ref, '/')+1:], ":@") && parseImage(ref).name() == name {
			return b
		}
	}
	return Behavior{}
}

// command is what an image runs on this host, if anything.
func (s *Server) command(image string) []string {
	name := parseImage(image).name()
	for ref, argv := range s.opts.Exec {
		if parseImage(ref).name() == name {
			return argv
		}
	}
	return nil
}
