package manifest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// textual applies substitutions, then variables, to the text of an app's file.
func (c *common) textual(data []byte, lim Limits) ([]byte, []fault) {
	for _, s := range c.subs {
		out, ok := s.apply(data, int(lim.FileBytes))
		if !ok {
			text := fmt.Sprintf("grows beyond %d bytes by the substitution of %q", lim.FileBytes, clip(s.pattern))
			return data, []fault{{1, 1, "", text}}
		}
		data = out
	}
	if c.vars == nil || !bytes.Contains(data, []byte("${")) {
		return data, nil
	}
	return c.variables(data, lim)
}

// apply replaces what the pattern finds, as regexp.ReplaceAll does, up to a length.
func (s substitution) apply(data []byte, most int) ([]byte, bool) {
	matches := s.find.FindAllSubmatchIndex(data, -1)
	if len(matches) == 0 {
		return data, true
	}
	out, done := make([]byte, 0, len(data)), 0
	for _, m := range matches {
		out = append(out, data[done:m[0]]...)
		out = s.find.Expand(out, []byte(s.text), data, m)
		done = m[1]
		if len(out) > most {
			return nil, false
		}
	}
	out = append(out, data[done:]...)
	return out, len(out) <= most
}

// variables fills in ${NAME} line by line; a line that is nothing but a comment is left alone.
func (c *common) variables(data []byte, lim Limits) ([]byte, []fault) {
	var out strings.Builder
	var faults []fault
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			out.WriteString(line)
			continue
		}
		text, bad := expandVars(line, c.vars)
		for _, x := range bad {
			faults = append(faults, fault{number, x.column, "", x.text})
		}
		out.WriteString(text)
		if int64(out.Len()) > lim.FileBytes {
			return data, []fault{{number, 1, "", fmt.Sprintf("grows beyond %d bytes by its variables", lim.FileBytes)}}
		}
	}
	return []byte(out.String()), faults
}

// expandVars fills in the variables of a text. Its faults have columns.
func expandVars(text string, vars map[string]string) (string, []fault) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var out strings.Builder
	var faults []fault
	for i := 0; ; {
		at := strings.Index(text[i:], "${")
		if at < 0 {
			out.WriteString(text[i:])
			return out.String(), faults
		}
		at += i
		if at > i && text[at-1] == '$' {
			out.WriteString(text[i:at-1] + "${")
			i = at + 2
			continue
		}
		out.WriteString(text[i:at])
		value, length, bad := variable(text[at:], vars)
		if bad != "" {
			faults = append(faults, fault{0, at + 1, "", bad})
		}
		out.WriteString(value)
		i = at + length
	}
}

// variable reads one ${NAME} or ${NAME:=default} at the start of a text.
func variable(text string, vars map[string]string) (value string, length int, bad string) {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return "${", 2, "${ is not closed; write $${ where ${ is meant as it is"
	}
	name, otherwise, hasDefault := strings.Cut(text[2:end], ":=")
	if !isVariable(name) {
		return text[:end+1], end + 1, "expected ${NAME} or ${NAME:=default}; write $${ where ${ is meant as it is"
	}
	if value, ok := vars[name]; ok {
		return value, end + 1, ""
	}
	if hasDefault {
		return otherwise, end + 1, ""
	}
	bad = fmt.Sprintf("variable %s is not defined", clip(name))
	if near := nearest(name, slices.Collect(maps.Keys(vars))); near != "" {
		bad += fmt.Sprintf("; did you mean %s?", near)
	} else {
		bad += "; add it to common.vars of a project, or write $${ where ${ is meant as it is"
	}
	return text[:end+1], end + 1, bad
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
