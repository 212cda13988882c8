// Package catalog says which apps and config trees a push concerns.
//
// An Entry is what FlyCD knows of an app without reading Git. From it follow Routes: a repository
// at a ref leads to the apps whose code comes from there, and to the config trees that live there or include it.
// The queue keeps one hash of routes per repository and ref, so that a push looks up at most three
// keys (its ref, HEAD where that is the default branch, refs/tags/* where it is a tag) and costs
// O(matches), however many apps there are.
//
// A registry's push leads to apps likewise, by the repository of the image that they name: one hash per
// repository, whatever the spelling. Each app that names the image is there, so that a hook can be told why it
// is not deployed. Follows is a sieve over the pushed tag; which tag is taken is the runner's choice.
//
// Needs says which apps must be deployed before which others.
//
// Jobs and ImageJobs turn the routes that a push matched into jobs. They are pure, as all of this package is.
package catalog
