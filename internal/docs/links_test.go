// SPDX-License-Identifier: AGPL-3.0-only

package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	tree := os.DirFS(root)
	documents := documentNames(t, tree)
	require.Greater(t, len(documents), 20, "no documents found: the test looks in the wrong place")
	links := 0
	for _, name := range documents {
		text, err := fs.ReadFile(tree, name)
		require.NoError(t, err)
		links += len(linksOf(string(text)))
		require.Empty(t, brokenLinks(tree, name, string(text)))
	}
	require.Greater(t, links, 100)
}

// Each page can be found: from the map in docs, by one link.
func TestTheMapHasEachPage(t *testing.T) {
	t.Parallel()
	tree := os.DirFS(root)
	text, err := fs.ReadFile(tree, "docs/index.md")
	require.NoError(t, err)
	var reached []string
	for _, link := range linksOf(string(text)) {
		target, _, _ := strings.Cut(link, "#")
		reached = append(reached, path.Join("docs", target))
	}
	for _, name := range documentNames(t, tree) {
		if strings.HasPrefix(name, "docs/") && name != "docs/index.md" {
			require.Contains(t, reached, name)
		}
	}
}

func TestALinkThatLeadsNowhereIsFound(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"docs/a.md":   {Data: []byte("# One: `two`, three\n\n## Four\n\n## Four\n")},
		"docs/b/c.md": {Data: []byte("# Five\n")},
		"x.svg":       {},
	}
	for sentence, c := range map[string]struct {
		text string
		want int
	}{
		"a file":                  {"[x](b/c.md)", 0},
		"one above":               {"[x](../x.svg)", 0},
		"an image":                {"![x](../x.svg)", 0},
		"a folder":                {"[x](b)", 0},
		"no file":                 {"[x](b/d.md)", 1},
		"outside of the checkout": {"[x](../../y.md)", 1},
		"an anchor":               {"[x](a.md#one-two-three)", 0},
		"the second of its name":  {"[x](a.md#four-1)", 0},
		"no anchor":               {"[x](a.md#five)", 1},
		"an anchor of its own":    {"# Six\n\n[x](#six)", 0},
		"none of its own":         {"[x](#six)", 1},
		"another site's":          {"[x](https://example.com/a#b)", 0},
		"what only looks so":      {"`[x](b/d.md)` and\n\n```\n[x](b/d.md)\n```\n", 0},
		"two":                     {"[x](b/d.md) [y](b/e.md)", 2},
	} {
		require.Len(t, brokenLinks(tree, "docs/z.md", c.text), c.want, sentence)
	}
}

// documentNames are all Markdown files for readers.
func documentNames(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var names []string
	require.NoError(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"dist", "internal", "testdata", "e2e"}, name)) {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// plain is a text without its blocks and spans of code, which hold no links.
func plain(text string) string {
	text = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
}

func linksOf(text string) []string {
	var links []string
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(plain(text), -1) {
		links = append(links, match[1])
	}
	return links
}

// brokenLinks gives the links of a document that lead to no file, or no heading in one.
func brokenLinks(tree fs.FS, name, text string) []string {
	var broken []string
	for _, link := range linksOf(text) {
		if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
			continue
		}
		file, anchor, _ := strings.Cut(link, "#")
		target, content := name, []byte(text)
		if file != "" {
			target = path.Join(path.Dir(name), file)
			info, err := fs.Stat(tree, target)
			if err != nil {
				broken = append(broken, fmt.Sprintf("%s: %s: there is no %s", name, link, target))
				continue
			}
			if info.IsDir() {
				continue
			}
			content, _ = fs.ReadFile(tree, target)
		}
		if anchor != "" && !slices.Contains(anchors(string(content)), anchor) {
			broken = append(broken, fmt.Sprintf("%s: %s: %s has no such heading", name, link, target))
		}
	}
	return broken
}

// anchors are the names that GitHub gives to the headings of a document.
func anchors(text string) []string {
	var found []string
	seen := map[string]int{}
	text = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])
		seen[name]++
		if n := seen[name] - 1; n > 0 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		found = append(found, name)
	}
	return found
}
