// Package deploytest is the world that a deploy happens in, for tests: a simulated Fly, repositories that
// are served over HTTP, and a registry with real images, all on loopback. Nothing of ours is replaced:
// the clients are those of production, with other addresses. Requests are counted, so that a test can
// say what was not asked for.
package deploytest
