package queuetest

import (
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

func includeLaws() []Law {
	return []Law{
		{"IncludedRepositoryLeadsToTheTree", includedRepositoryLeadsToTheTree},
		{"IncludesGoWithTheirGeneration", includesGoWithTheirGeneration},
		{"TreeIsRoutedOnce", treeIsRoutedOnce},
	}
}

const libRepo = "https://github.com/acme/lib.git"

// leads checks how many trees and apps a push leads to, and gives the routes.
func (w *world) leads(repo, ref string, want int) []catalog.Route {
	list, more, err := w.q.Routes(w.ctx, catalog.Push{Repo: repo, Ref: ref, DefaultBranch: "main"}, 5)
	w.must(err)
	w.is("more", more, false)
	w.is("routes of "+ref+" of "+repo, len(list), want)
	return list
}

// include writes a generation without apps that includes repositories.
func (w *world) include(c job.Config, list ...catalog.Include) (gen int64) {
	gen, _ = w.write(c, nil)
	w.must(w.q.WriteIncludes(w.ctx, c, gen, list))
	return gen
}

func includedRepositoryLeadsToTheTree(w *world) {
	a, b := tree("a"), tree("b")
	gen := w.include(a, catalog.Include{Repo: libRepo}, catalog.Include{Repo: sourceRepo, Ref: "v1"})
	w.leads(libRepo, mainRef, 0)
	w.turn(a, gen, 1000, true)
	w.is("tree", w.leads("git@github.com:Acme/lib", mainRef, 1)[0].Config, a)
	w.leads(libRepo, "refs/heads/dev", 0)
	w.leads(sourceRepo, mainRef, 0)
	w.leads(sourceRepo, "refs/tags/v1", 1)
	w.leads(sourceRepo, "refs/heads/v1", 1)
	w.turn(b, w.include(b, catalog.Include{Repo: libRepo}), 1000, true)
	w.leads(libRepo, mainRef, 2)
	list, err := w.q.Includes(w.ctx, a.ID())
	w.must(err)
	w.is("includes", len(list), 2)
	w.is("the first", list[0], catalog.Include{Repo: sourceRepo, Ref: "v1"})
	list, err = w.q.Includes(w.ctx, tree("c").ID())
	w.must(err)
	w.is("includes of a tree that was never read", len(list), 0)
}

func includesGoWithTheirGeneration(w *world) {
	c := tree("a")
	w.turn(c, w.include(c, catalog.Include{Repo: libRepo}), 1000, true)
	w.include(c, catalog.Include{Repo: sourceRepo})
	next := w.include(c)
	w.leads(libRepo, mainRef, 1)
	w.turn(c, next, 2000, true)
	w.leads(libRepo, mainRef, 0)
	w.leads(sourceRepo, mainRef, 0)
	w.must(w.q.DropGenerations(w.ctx, c))
	w.must(w.q.DropGenerations(w.ctx, c))
	list, err := w.q.Includes(w.ctx, c.ID())
	w.must(err)
	w.is("includes", len(list), 0)
	w.leads(configRepo, mainRef, 1)
}

func treeIsRoutedOnce(w *world) {
	c := tree("a")
	w.turn(c, w.include(c, catalog.Include{Repo: configRepo}, catalog.Include{Repo: configRepo, Ref: mainRef}), 1000, true)
	w.is("tree", w.leads(configRepo, mainRef, 1)[0].Config, c)
}
