package deploy

import (
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// The metadata that FlyCD writes into every machine it deploys. The names are public.
const (
	metaApp          = "flycd_app"
	metaDigest       = "flycd_digest"
	metaConfigDigest = "flycd_config_digest"
	metaSourceDigest = "flycd_source_digest"
	metaConfigCommit = "flycd_config_commit"
	metaSourceCommit = "flycd_source_commit"
	metaRelease      = "flycd_release"
	metaBuild        = "flycd_build"
	metaJob          = plan.MetaJob
)

// seal is what the machines of an app say of the deploy that made them: the metadata of the one
// with the highest release.
type seal struct {
	meta    map[string]string
	image   string
	release int
	// foreign reports that there are machines that FlyCD did not make.
	foreign bool
}

func sealOf(o plan.Observed) seal {
	var s seal
	for _, m := range o.Machines {
		if m.Machine == nil || m.Config == nil {
			continue
		}
		release, err := strconv.Atoi(m.Config.Metadata[metaRelease])
		if err != nil {
			s.foreign = true
			continue
		}
		if s.meta == nil || release > s.release {
			s.meta, s.image, s.release = m.Config.Metadata, m.Config.Image, release
		}
	}
	return s
}

// runs reports whether the machines run the image of that build, by digest, from that repository. Somebody may have
// given them another one, and left the metadata; and an image is to be where the manifest says now.
func (s seal) runs(repository, build string) bool {
	return build != "" && strings.HasPrefix(s.image, repository+":"+build+"@")
}

// mark is what a deploy is about to write into the machines.
type mark struct {
	app          string
	digests      Digests
	configCommit string
	sourceCommit string
	build        string
	release      int
	job          string
	// record is the release as flyctl knows it; the zero value where there is none.
	record fly.ReleaseRecord
}

// markOf decides the release number. Going on with a release that was begun, and mending machines
// that were changed behind its back, keep the number; another digest, and a forced job on its first
// attempt, take the next.
func markOf(s seal, m mark, force bool, id job.ID) mark {
	begun := s.meta[metaDigest] == m.digests.Wanted()
	m.release, m.job = s.release, string(id)
	switch {
	case force && s.meta[metaJob] != m.job:
		m.release = s.release + 1
	case !begun:
		m.release = s.release + 1
	}
	return m
}

func (m mark) metadata() map[string]string {
	all := map[string]string{
		metaApp:          m.app,
		metaDigest:       m.digests.Wanted(),
		metaConfigDigest: m.digests.Config,
		metaSourceDigest: m.digests.Source,
		metaConfigCommit: m.configCommit,
		metaSourceCommit: m.sourceCommit,
		metaRelease:      strconv.Itoa(m.release),
		metaBuild:        m.build,
		metaJob:          m.job,
	}
	if m.record.ID != "" {
		all["fly_release_id"], all["fly_release_version"] = m.record.ID, strconv.Itoa(m.record.Version)
	}
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}

// env gives the variables that FlyCD has always set.
func (m mark) env(src manifest.Source) map[string]string {
	return map[string]string{
		"FLYCD_APP_VERSION":           m.digests.Source,
		"FLYCD_CONFIG_VERSION":        m.digests.Config,
		"FLYCD_APP_SOURCE_TYPE":       src.Type,
		"FLYCD_APP_SOURCE_PATH":       src.Path,
		"FLYCD_APP_SOURCE_REPO":       withoutLogin(src.Repo),
		"FLYCD_APP_SOURCE_REF_BRANCH": src.Ref.Branch,
		"FLYCD_APP_SOURCE_REF_COMMIT": m.sourceCommit,
		"FLYCD_APP_SOURCE_REF_TAG":    src.Ref.Tag,
	}
}

// withoutLogin drops a user and password from a repository's URL: neither Fly's environment nor Redis
// is a place for them.
func withoutLogin(repo string) string {
	u, err := url.Parse(repo)
	if err != nil || u.User == nil || u.Scheme == "ssh" {
		return repo
	}
	u.User = nil
	return u.String()
}
