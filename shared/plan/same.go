package plan

import (
	"encoding/json"
	"slices"
	"strings"
)

// empty is true of what Fly may leave out or send back empty: null, {}, [], "", and zero numbers
// and false where fly-go leaves them out.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case object:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// normal gives the form in which two configs are compared. What fly-go does not know, what Fly
// fills in by itself and what never makes a plan is left out, so equal forms mean that there is
// nothing to change. The image is not in it: images are compared by digest.
func normal(o object) (object, error) {
	config, err := typed(o)
	if err != nil {
		return nil, err
	}
	known, err := objectOf(config)
	if err != nil {
		return nil, err
	}
	delete(known, "image")
	sortHeaders(known)
	normalEnv(known)
	normalMetadata(known)
	normalRestart(known)
	normalGuest(known)
	normalContainers(known)
	env := child(known, "env")
	clean(known)
	if len(env) > 0 {
		known["env"] = env
	}
	return known, nil
}

// clean drops empty values from objects, to any depth; elements of lists stay.
func clean(v any) {
	switch v := v.(type) {
	case object:
		for key, value := range v {
			clean(value)
			if empty(value) {
				delete(v, key)
			}
		}
	case []any:
		for _, value := range v {
			clean(value)
		}
	}
}

// normalEnv takes FlyCD's own names out: they say what a deploy was made of, and the digest in the
// metadata says whether that has changed. It also keeps clean from dropping empty values.
func normalEnv(o object) {
	env := child(o, "env")
	for key := range env {
		if strings.HasPrefix(key, "FLYCD_") {
			delete(env, key)
		}
	}
}

// volatile is metadata that others stamp, or that names a commit: a commit alone never makes a
// plan.
func volatile(key string) bool {
	return strings.HasSuffix(key, "_commit") || strings.HasPrefix(key, "fly_release_") ||
		slices.Contains([]string{"fly_flyctl_version", "fly_builder_id", MetaMade, MetaJob, MetaPrevious, MetaReplaces, MetaGreen, MetaAddons}, key)
}

func normalMetadata(o object) {
	metadata := child(o, "metadata")
	for key := range metadata {
		if volatile(key) {
			delete(metadata, key)
		}
	}
}

// normalRestart takes Fly's default out, which is on-failure with ten tries.
func normalRestart(o object) {
	restart := child(o, "restart")
	retries, _ := restart["max_retries"].(json.Number)
	if text(restart, "policy") == "on-failure" && (retries == "" || retries == "10") {
		delete(o, "restart")
	}
}

// normalGuest fills in what Fly assumes.
func normalGuest(o object) {
	guest := child(o, "guest")
	if guest == nil {
		return
	}
	fill := func(key string, value any) {
		if _, ok := guest[key]; !ok {
			guest[key] = value
		}
	}
	fill("cpu_kind", "shared")
	fill("cpus", json.Number("1"))
	fill("memory_mb", json.Number("256"))
	if text(guest, "gpu_kind") != "" {
		fill("gpus", json.Number("1"))
	}
}

// normalContainers compares containers' images by digest where they have one.
func normalContainers(o object) {
	for _, c := range list(o, "containers") {
		if c, ok := c.(object); ok {
			if digest := digestOf(text(c, "image")); digest != "" {
				c["image"] = digest
			}
		}
	}
}

// sortHeaders orders the headers of all checks by name, since flyctl sends them in any order.
func sortHeaders(o object) {
	byName := func(check any) {
		c, _ := check.(object)
		slices.SortStableFunc(list(c, "headers"), func(a, b any) int {
			x, _ := a.(object)
			y, _ := b.(object)
			return strings.Compare(text(x, "name"), text(y, "name"))
		})
	}
	for _, check := range child(o, "checks") {
		byName(check)
	}
	for _, service := range list(o, "services") {
		s, _ := service.(object)
		for _, check := range list(s, "checks") {
			byName(check)
		}
	}
}
