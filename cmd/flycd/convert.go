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

func (c *cli) convertCommand() *cobra.Command {
	var force, toStdout bool
	cmd := &cobra.Command{
		Use: "convert FILE|DIR", Short: "Turn fly.toml into app.yaml, or back", GroupID: "manifest",
		Long: `Turn a fly.toml (or app.toml) into an app.yaml beside it, or an app.yaml into a fly.toml, whichever FILE is.
Comments and order are kept where both formats allow, and converting back gives an equal manifest. A
folder is converted with all fly.toml files in and below it.`,
		Example: `  flycd convert fly.toml
  flycd convert app.yaml --stdout
  flycd convert ./apps --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := convertible(args[0])
			if err != nil {
				return usage(err)
			}
			for _, f := range files {
				if err := c.convertFile(f, toStdout, force); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	cmd.Flags().BoolVar(&toStdout, "stdout", false, "print instead of writing a file")
	return cmd
}

// convertible lists the manifests that PATH names.
func convertible(path string) ([]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: expected a fly.toml, an app.yaml or a folder", path)
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
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
	return files, err
}

func (c *cli) convertFile(from string, toStdout, force bool) error {
	text, err := os.ReadFile(from) //nolint:gosec // the file that the person named
	if err != nil {
		return usage(fmt.Errorf("read %s: %w", from, err))
	}
	convert, to := manifest.ToYAML, "app.yaml"
	switch filepath.Ext(from) {
	case ".toml":
	case ".yaml", ".yml":
		convert, to = manifest.ToTOML, "fly.toml"
	default:
		return usage(fmt.Errorf("%s: expected a file that ends in .toml, .yaml or .yml", from))
	}
	converted, err := convert(filepath.Base(from), text)
	if err != nil {
		return usage(fmt.Errorf("%s: %w", filepath.Dir(from), err))
	}
	if toStdout {
		_, err := c.out.Write(converted)
		return err
	}
	target := filepath.Join(filepath.Dir(from), to)
	return c.writeNew(target, converted, force)
}

// writeNew writes a file that is not there yet, or that may be overwritten.
func (c *cli) writeNew(target string, content []byte, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(target, mode, 0o644) //nolint:gosec // a manifest is for everybody who reads the repository
	if errors.Is(err, fs.ErrExist) {
		return usage(fmt.Errorf("%s is there already: --force overwrites it, --stdout prints instead", target))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", target, err), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	_, err = fmt.Fprintln(c.out, strings.TrimPrefix(target, "./"))
	return err
}
