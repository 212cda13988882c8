package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/manifest"
)

type convertFlags struct{ force, toStdout, dryRun bool }

func (c *cli) convertCommand() *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use: "convert FILE|DIR", Short: "Turn fly.toml into app.yaml, or back", GroupID: "manifest",
		Long: `Turn a fly.toml (or app.toml) into an app.yaml beside it, or an app.yaml into a fly.toml, whichever FILE is.
Comments and order are kept where both formats allow, and converting back gives an equal manifest.

A folder is converted with all fly.toml files in and below it: all of them or, where one cannot be read, none.
Those that have an app.yaml or app.toml beside them already are left alone, and named.`,
		Example: `  flycd convert fly.toml
  flycd convert app.yaml --stdout
  flycd convert ./apps --dry-run`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"toml", "yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.convert(args[0], f) },
	}
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite a file that is there")
	cmd.Flags().BoolVar(&f.toStdout, "stdout", false, "print instead of writing a file")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be written")
	return cmd
}

// conversion is one file that becomes another.
type conversion struct {
	from string
	to   newFile
}

func (c *cli) convert(path string, f convertFlags) error {
	sources, isFolder, err := convertible(path)
	if err != nil {
		return usage(err)
	}
	all, err := c.conversions(sources, f, isFolder)
	if err != nil {
		return usage(err)
	}
	if f.toStdout {
		return c.printConversions(all, isFolder)
	}
	files := make([]newFile, len(all))
	for i, one := range all {
		files[i] = one.to
	}
	done := "written"
	if f.dryRun {
		done = "would be written"
	} else if err := writeAll(files, f.force); err != nil {
		return err
	}
	return c.printWritten(all, isFolder, done)
}

// printWritten says what became of what: a line for each file of a folder, else the new file's name.
func (c *cli) printWritten(all []conversion, isFolder bool, done string) error {
	if !isFolder {
		_, err := fmt.Fprintln(c.out, shortPath(all[0].to.path))
		return err
	}
	for _, one := range all {
		fmt.Fprintf(c.out, "%s → %s\n", shortPath(one.from), shortPath(one.to.path))
	}
	_, err := fmt.Fprintln(c.out, counted(len(all), "file"), done)
	return err
}

// conversions converts all files, so that a mistake in one of them is found before anything is
// written. All mistakes are told at once.
func (c *cli) conversions(sources []string, f convertFlags, isFolder bool) ([]conversion, error) {
	var all []conversion
	var mistakes []error
	for _, from := range sources {
		one, err := convertFile(from)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		there := beside(one)
		switch {
		case there == "" || f.toStdout || f.force && there == one.to.path:
		case isFolder && !f.force:
			fmt.Fprintf(c.err, "%s is left alone: %s is there already; --force overwrites it\n", shortPath(from), shortPath(there))
			continue
		case there == one.to.path:
			mistakes = append(mistakes, one.to.isThere())
			continue
		default:
			mistakes = append(mistakes, fmt.Errorf("%s is there already, and a folder has one manifest: delete it first", there))
			continue
		}
		all = append(all, one)
	}
	return all, errors.Join(mistakes...)
}

// beside gives the manifest that is where the new one would be, or that would contradict it.
func beside(one conversion) string {
	names := []string{one.to.path}
	if filepath.Base(one.to.path) == "app.yaml" && filepath.Base(one.from) != "app.toml" {
		names = append(names, filepath.Join(filepath.Dir(one.to.path), "app.toml"))
	}
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			return name
		}
	}
	return ""
}

func (c *cli) printConversions(all []conversion, isFolder bool) error {
	for i, one := range all {
		if isFolder {
			if i > 0 {
				fmt.Fprintln(c.out, "---")
			}
			fmt.Fprintf(c.out, "# %s\n", shortPath(one.to.path))
		}
		if _, err := c.out.Write(one.to.content); err != nil {
			return err
		}
	}
	return nil
}

// convertible lists the manifests that PATH names, and says whether it is a folder.
func convertible(path string) (files []string, isFolder bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%s does not exist: expected a fly.toml, an app.yaml or a folder", path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("look at %s: %w", path, err)
	}
	if !info.IsDir() {
		return []string{path}, false, nil
	}
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("look at %s: %w", p, err)
		}
		if e.IsDir() && e.Name() == ".git" {
			return filepath.SkipDir
		}
		if e.Name() == "fly.toml" && e.Type().IsRegular() {
			files = append(files, p)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no fly.toml in this folder or below", path)
	}
	return files, true, err
}

func convertFile(from string) (conversion, error) {
	text, err := os.ReadFile(from) //nolint:gosec // the file that the person named
	if err != nil {
		return conversion{}, fmt.Errorf("read %s: %w", from, err)
	}
	convert, to := manifest.ToYAML, "app.yaml"
	switch filepath.Ext(from) {
	case ".toml":
	case ".yaml", ".yml":
		convert, to = manifest.ToTOML, "fly.toml"
	default:
		return conversion{}, fmt.Errorf("%s: expected a file that ends in .toml, .yaml or .yml", from)
	}
	converted, err := convert(filepath.ToSlash(from), text)
	if err != nil {
		return conversion{}, err //nolint:wrapcheck // its problems name the file
	}
	return conversion{from, newFile{filepath.Join(filepath.Dir(from), to), converted}}, nil
}

func shortPath(path string) string { return strings.TrimPrefix(path, "./") }
