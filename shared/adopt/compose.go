package adopt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// composition is one attempt's manifest before it is text.
type composition struct {
	*account
	attempt
	doc object
	// groups are all groups of the manifest: those that have machines, and those that were scaled to
	// none.
	groups  []string
	primary string
	files   map[string][]byte
	notes   []string
}

func (a *account) compose(t attempt) *composition {
	c := &composition{account: a, attempt: t, doc: object{}, files: map[string][]byte{}}
	c.fromRelease()
	c.groups = c.groupNames()
	c.primary = c.primaryRegion()
	for _, s := range sections() {
		if slices.Contains(t.taken, s.name) {
			for _, key := range s.keys {
				delete(c.doc, key)
			}
			s.write(c)
		}
	}
	c.doc["app"] = a.App
	set(c.doc, "org", a.Org)
	set(c.doc, "primary_region", c.primary)
	c.doc["source"] = object{"type": "image", "image": a.image}
	c.places()
	c.volumes()
	c.addresses()
	c.certificates()
	c.schedules()
	c.remarks()
	return c
}

// hidden are the sections that machines do not show.
func hidden() []string {
	return []string{"deploy", "console_command", "machine_checks"}
}

// fromRelease takes over the release's definition, or of it what machines do not show.
func (c *composition) fromRelease() {
	if c.definition == nil {
		return
	}
	c.doc = maps.Clone(c.definition)
	for _, key := range []string{"http_service", "services"} {
		if c.doc[key] != nil {
			c.doc[key] = clean(c.doc[key])
		}
	}
	if !c.release {
		maps.DeleteFunc(c.doc, func(key string, _ any) bool { return !slices.Contains(hidden(), key) })
	}
	c.experimental()
	if how := clean(c.doc["build"]); how != nil {
		c.notes = append(c.notes, "The release was built with: build: "+textOf(how))
	}
	delete(c.doc, "build")
}

// experimental leaves out what FlyCD does not take, and says so where it was meant.
func (c *composition) experimental() {
	e := maps.Clone(asObject(c.doc["experimental"]))
	for _, key := range []string{"enable_consul", "enable_etcd", "auto_rollback", "attached"} {
		if clean(e[key]) != nil && e[key] != false && key != "attached" {
			c.notes = append(c.notes, "experimental."+key+" was set; FlyCD does not do it, and what there is of it stays.")
		}
		delete(e, key)
	}
	delete(c.doc, "experimental")
	set(c.doc, "experimental", clean(e))
}

// groupNames are the groups of the release's processes and those that have machines.
func (c *composition) groupNames() []string {
	names := c.names()
	for name := range asObject(c.definition["processes"]) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *composition) primaryRegion() string {
	if c.release {
		return stringOf(c.definition, "primary_region")
	}
	return stringOf(asObject(c.main().config["env"]), "PRIMARY_REGION")
}

// volumes writes the volumes that the groups' machines hold.
func (c *composition) volumes() {
	var all []any
	for _, name := range c.mounted() {
		var found []flygo.Volume
		for _, v := range c.Volumes {
			if v.Name == name && v.IsAttached() {
				found = append(found, v)
			}
		}
		if len(found) > 0 {
			all = append(all, c.volume(name, found))
		}
	}
	set(c.doc, "volumes", all)
}

// volume says of volumes of one name what they have in common. One size for all of them would extend the
// smaller ones and refuse the larger ones; then only new ones are given a size.
func (c *composition) volume(name string, found []flygo.Volume) object {
	out := object{"name": name}
	sizes, retentions := map[int]bool{}, map[int]bool{}
	encrypted, snapshots, largest := false, false, 0
	for _, v := range found {
		snapshots = snapshots || v.AutoBackupEnabled
		sizes[v.SizeGb], retentions[v.SnapshotRetention] = true, true
		encrypted, largest = encrypted || v.Encrypted, max(largest, v.SizeGb)
	}
	if len(sizes) == 1 {
		out["size_gb"] = largest
	} else {
		c.notef("Volumes named %s have different sizes, so none is written for them; new ones get %d GB.", name, largest)
		c.ofMount(name, "initial_size", fmt.Sprintf("%dGB", largest))
	}
	if !snapshots {
		c.ofMount(name, "scheduled_snapshots", false)
	}
	if r := found[0].SnapshotRetention; len(retentions) == 1 && r > 0 {
		out["snapshot_retention"] = r
	}
	if !encrypted {
		out["encrypted"] = false
	}
	return out
}

// ofMount writes a key of the mounts that use the volume.
func (c *composition) ofMount(volume, key string, value any) {
	var mounts []any
	for _, m := range listOf(c.doc, "mounts") {
		m := maps.Clone(asObject(m))
		if stringOf(m, "source") == volume {
			m[key] = value
		}
		mounts = append(mounts, m)
	}
	set(c.doc, "mounts", mounts)
}

// mounted are the names of the volumes that groups mount, sorted.
func (c *composition) mounted() []string {
	var names []string
	for _, name := range c.names() {
		for _, m := range listOf(c.account.groups[name].config, "mounts") {
			if v := c.volumeName(asObject(m)); v != "" && !slices.Contains(names, v) {
				names = append(names, v)
			}
		}
	}
	slices.Sort(names)
	return names
}

// volumeName gives the name of a mount's volume, which old machines have only by way of its id.
func (c *composition) volumeName(mount object) string {
	if name := stringOf(mount, "name"); name != "" {
		return name
	}
	for _, v := range c.Volumes {
		if v.ID == stringOf(mount, "volume") {
			return v.Name
		}
	}
	return ""
}

// addresses writes the app's addresses as they are.
func (c *composition) addresses() {
	var all []any
	egress := map[string]bool{}
	for _, ip := range c.IPs {
		if one := address(ip); one["egress"] == nil || !egress[ip.Region] {
			egress[ip.Region] = egress[ip.Region] || ip.Egress
			all = append(all, one)
		}
	}
	if len(all) > 0 {
		c.doc["network"] = object{"ips": all}
	}
}

func address(ip plan.IP) object {
	out := object{"v": "v4"}
	if strings.Contains(ip.Address, ":") {
		out["v"] = "v6"
	}
	if ip.Region != "" && ip.Region != "global" && (out["v"] == "v6" || ip.Egress) && !ip.Shared {
		out["region"] = ip.Region
	}
	for key, yes := range map[string]bool{"shared": ip.Shared, "private": ip.Private, "egress": ip.Egress} {
		if yes {
			out[key] = true
		}
	}
	return out
}

func (c *composition) certificates() {
	var all []any
	for _, cert := range c.Certs {
		all = append(all, object{"hostname": cert.Hostname})
	}
	set(c.doc, "certs", all)
}

// set writes what is not empty.
func set(o object, key string, v any) {
	if v = clean(v); v != nil {
		o[key] = v
	}
}

// clean drops what is empty, to any depth; nil where nothing is left.
func clean(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for key, value := range v {
			if key == "ttl_seconds" {
				value = notZero(value) // written by clients where nobody wrote it, and refused by Fly
			}
			set(out, key, value)
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v))
		for i, item := range v {
			if out[i] = clean(item); out[i] != nil {
				continue
			}
			if out[i] = item; asObject(item) != nil {
				out[i] = object{} // an item that says nothing is one all the same
			}
		}
		return out
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}
