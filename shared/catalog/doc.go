// Package catalog says which apps and config trees a push concerns.
//
// An Entry is what FlyCD knows of an app without reading Git. From it follow Routes: a repository
// at a ref leads to the apps whose code comes from there, and to the config trees that live there.
// The queue keeps one hash of routes per repository and ref, so that a push looks up at most three
// keys (its ref, HEAD where that is the default branch, refs/tags/* where it is a tag) and costs
// O(matches), however many apps there are.
//
// Needs says which apps must be deployed before which others.
//
// Jobs turns the routes that a push matched into jobs. It is pure, as all of this package is.
package catalog
