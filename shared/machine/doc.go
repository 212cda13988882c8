// Package machine translates a manifest into what Fly should hold: machine configs by process
// group, counts, regions, volumes and addresses. It does no I/O and reads no clock.
package machine
