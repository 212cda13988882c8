package plan

import "maps"

// withDigests gives a config whose containers name the digest of the machine's image where they run that:
// flyctl deploys by tag and writes the tag in both places, but Fly tells the digest of one alone.
func withDigests(config object, m Machine) object {
	image := text(config, "image")
	digest := m.ImageRef.Digest
	if image == "" || digest == "" || digestOf(image) != "" || len(list(config, "containers")) == 0 {
		return config
	}
	var all []any
	for _, c := range list(config, "containers") {
		if o, ok := c.(object); ok && text(o, "image") == image {
			o = maps.Clone(o)
			o["image"] = image + "@" + digest
			c = o
		}
		all = append(all, c)
	}
	out := maps.Clone(config)
	out["containers"] = all
	return out
}
