package manifest

// remark is what there is to say of a key beside what flyctl does with it.
type remark struct {
	like Like
	how  string
}

// remarks are by path. What is not here is as flyctl, or FlyCD's own.
func remarks() map[string]remark {
	out := map[string]remark{}
	for _, section := range []map[string]remark{appRemarks(), buildRemarks(), groupRemarks(), serviceRemarks()} {
		for path, r := range section {
			out[path] = r
		}
	}
	return out
}

func appRemarks() map[string]remark {
	return map[string]remark{
		"app":             {Better, "checked against Fly's rule for names before anything is touched"},
		"primary_region":  {Better, "extra_regions adds others, with volumes and exact counts in each"},
		"console_command": {AsFlyctl, "recorded with the release, where fly console finds it; checked that it splits into words"},
		"env":             {Better, "numbers keep their digits in YAML too (flyctl writes 1000000 as 1e+06 there)"},
		"machine_config":  {Better, "keys that other sections overwrite, or that Fly does not know, are refused; flyctl drops them in silence"},
		"container":       {Better, "also chooses among the services of a compose file"},
		"files[]":         {Better, "two sources of content in one entry are refused; an entry whose source is an empty text takes the file away, as in flyctl"},
		"files[].local_path": {
			Better, "relative to the app's source, else to the manifest, not to wherever the command runs; never outside of them",
		},
		"files[].processes":             {AsFlyctl, "flyctl reads it and writes every file into all groups; so does FlyCD, and warns"},
		"statics[].guest_path":          {AsFlyctl, "an absolute path. Not possible: a relative path makes flyctl upload the folder to a bucket of its own making, through a service that only flyctl may use; FlyCD refuses it and says to put the files into the image or into a named bucket"},
		"statics[].url_prefix":          {Better, "one that is written twice is refused; Fly serves only one of them"},
		"metrics[]":                     {Better, "a second section for one group is refused; flyctl takes the first in silence"},
		"restart[]":                     {Better, "a second section for one group is refused; flyctl takes the last in silence"},
		"machine_checks[]":              {Better, "also after machines of a bluegreen deploy; their output is in the job's log"},
		"experimental.auto_rollback":    {AsFlyctl, "neither does anything with it; on_failure: rollback does what it promised"},
		"experimental.enable_consul":    {NotHere, "flyctl only records it, and no machine changes by it; FlyCD tells so. Attach Consul with fly consul attach"},
		"experimental.enable_etcd":      {NotHere, "flyctl only records it, and no machine changes by it; FlyCD tells so"},
		"experimental.lazy_load_images": {AsFlyctl, "Fly took the feature away in 2025; both warn"},
		"experimental.attached":         {AsFlyctl, "neither does anything with it on a deploy"},
		"experimental.machine_config":   {Better, "a second one beside it is refused; flyctl drops machine_config in silence"},
		"experimental.kill_timeout":     {AsFlyctl, "read where kill_timeout is not written"},
		"experimental.metrics_port":     {AsFlyctl, "read where metrics is not written"},
		"experimental.metrics_path":     {AsFlyctl, "read where metrics is not written"},
	}
}

func buildRemarks() map[string]remark {
	const remote = "built by Fly's remote builders, through flyctl; where flyctl is not installed, the deploy says what to do"
	return map[string]remark{
		"build.builder":                    {AsFlyctl, remote},
		"build.buildpacks":                 {Better, remote + ". Without build.builder they have no effect, and a warning says so; flyctl leaves them out in silence"},
		"build.builtin":                    {NotHere, "flyctl carries the Dockerfiles of its builtins inside it and no longer adds to them; it is refused: write the Dockerfile"},
		"build.settings":                   {NotHere, "settings of a builtin; a warning says that they have no effect"},
		"build.args":                       {Better, "numbers are read as text; flyctl refuses them"},
		"deploy.release_command_vm.memory": {Better, "a number is read as MB; flyctl refuses it here"},
		"build.image":                      {Better, "resolved to a digest at every deploy, which is what runs; with source.policy its tags are chosen among"},
		"build.dockerfile":                 {Better, "refused beside build.builder, which wins; flyctl leaves it out in silence. A path in the app's source; a URL, which flyctl takes too, is refused"},
		"build.timeout":                    {OwnKey, "1s to 50m. An attempt at a job lasts an hour, which no build outlives"},
		"build.compose": {
			Better, "commands given as text are split as compose splits them; times of health checks, restart, stop_signal and lists of NAME=value are read; containers are in a stable order; what a container cannot have is refused",
		},
		"deploy.strategy":                     {Better, "a failed canary does not go on serving, and every strategy can be undone (on_failure)"},
		"deploy.max_unavailable":              {Better, "0 is refused"},
		"deploy.wait_timeout":                 {Better, "a bare number is refused; flyctl reads it as nanoseconds"},
		"deploy.release_command_timeout":      {Better, "a bare number is refused; flyctl reads it as nanoseconds"},
		"deploy.release_command":              {Better, "runs at most once for a deploy, also when the runner is killed in the middle; its output is in the job's log"},
		"deploy.seed_command":                 {Better, "runs after the first deploy of the app; flyctl runs it only inside fly launch"},
		"deploy.release_command_vm.processes": {AsFlyctl, "without effect"},
	}
}

func groupRemarks() map[string]remark {
	return map[string]remark{
		"mounts[]": {
			Better, "a second mount of a group is refused (flyctl sends it without a volume); mounts can be added and removed in CI; a machine finds its old volume again",
		},
		"mounts[].initial_size":               {Better, "volumes.size_gb grows volumes that are there"},
		"mounts[].auto_extend_size_increment": {Better, "a number is read as GB; flyctl refuses it here"},
		"mounts[].auto_extend_size_limit":     {Better, "a number is read as GB; flyctl refuses it here"},
		"mounts[].snapshot_retention":         {Better, "also brought to volumes that are there"},
		"mounts[].scheduled_snapshots":        {Better, "also brought to volumes that are there"},
		"vm[]":                                {Better, "a second section for one group is refused; flyctl takes one of them in silence"},
		"vm[].size":                           {Better, "an unknown size is refused before anything is touched"},
		"vm[].memory":                         {Better, "another number in memory_mb is refused; flyctl takes that in silence"},
		"vm[].kernel_args":                    {Better, "one text is accepted, as Fly's reference writes it; flyctl refuses it"},
		"vm[].cpu_kind":                       {Better, "another kind than shared or performance is refused before anything is touched"},
		"vm[].gpu_kind":                       {AsFlyctl, "flyctl refuses only the flag; Fly itself no longer sells GPUs to new apps"},
	}
}

func serviceRemarks() map[string]remark {
	out := map[string]remark{
		"http_service.checks[].interval":     {Better, "a bare number is milliseconds, as Fly's reference says; flyctl reads nanoseconds"},
		"http_service.checks[].timeout":      {Better, "a bare number is milliseconds, as Fly's reference says; flyctl reads nanoseconds"},
		"http_service.checks[].grace_period": {Better, "a bare number is milliseconds, as Fly's reference says; flyctl reads nanoseconds"},
		"http_service.checks[].headers":      {Better, "a list of name and value, and numbers, are read here too"},
		"http_service.concurrency":           {Better, "the old form \"soft,hard\" is read here too"},
		"services[]":                         {Better, "a section without keys is refused; flyctl drops it in silence"},
		"services[].ports[]":                 {Better, "a port that is missing or out of range is refused before anything is touched"},
		"checks.<name>.port":                 {Better, "one that is missing where the group has no http_service is refused before anything is touched"},
		"checks.<name>.method":               {AsFlyctl, "in capital letters, whatever is written; checks of services keep what is written"},
	}
	const rule = "a group that does not exist is refused; flyctl leaves the section out in silence"
	for _, section := range []string{"mounts[]", "metrics[]", "vm[]", "checks.<name>"} {
		out[section+".processes"] = remark{Better, rule}
	}
	for _, section := range []string{"http_service", "services[]"} {
		out[section+".machine_checks[].kill_timeout"] = remark{Better, "a bare number is seconds; flyctl reads nanoseconds"}
		out[section+".machine_checks[]"] = remark{Better, "their output is in the job's log"}
	}
	out["machine_checks[].kill_timeout"] = remark{Better, "a bare number is seconds; flyctl reads nanoseconds"}
	return out
}
