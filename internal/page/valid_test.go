// SPDX-License-Identifier: AGPL-3.0-only

package page_test

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/signet-charm/signet/internal/page"
)

// place is an element with how deep it is.
type place struct {
	depth int
	name  string
}

// written gives the elements of a page as their tags stand in the text, and what is wrong with the tags.
func written(text string) (places []place, faults []string) {
	void := []string{"meta", "link", "rect", "circle", "path"} // the last three are SVG's, and close themselves
	tags := html.NewTokenizer(strings.NewReader(text))
	var open []string
	for {
		switch kind := tags.Next(); kind {
		case html.ErrorToken:
			if tags.Err() != io.EOF { //nolint:errorlint // the tokenizer gives just this one
				faults = append(faults, tags.Err().Error())
			}
			if len(open) > 0 {
				faults = append(faults, fmt.Sprintf("never closed: %v", open))
			}
			return places, faults
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := string(tags.Raw())
			name, _ := tags.TagName()
			element, seen := string(name), map[string]bool{}
			for _, key := range regexp.MustCompile(` ([a-zA-Z-]+)="[^"]*"`).FindAllStringSubmatch(raw, -1) {
				if seen[key[1]] {
					faults = append(faults, fmt.Sprintf("<%s> has the attribute %s twice", element, key[1]))
				}
				seen[key[1]] = true
			}
			places = append(places, place{len(open), element})
			if kind == html.StartTagToken && !slices.Contains(void, element) {
				open = append(open, element)
			}
		case html.EndTagToken:
			name, _ := tags.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				faults = append(faults, fmt.Sprintf("</%s> closes %v", name, open))
				continue
			}
			open = open[:len(open)-1]
		}
	}
}

// parsed gives the elements of a page as browsers understand it. Where that is not what is written, the text breaks a rule of
// HTML that browsers mend: a paragraph that may not hold a list, a table without a body, text between rows.
func parsed(root *html.Node) []place {
	var places []place
	var walk func(*html.Node, int)
	walk = func(n *html.Node, depth int) {
		for child := range n.ChildNodes() {
			if child.Type == html.ElementNode {
				places = append(places, place{depth, child.Data})
				walk(child, depth+1)
			}
		}
	}
	walk(root, 0)
	return places
}

// attributes are what elements may have, and what they must have (with a !).
func attributes() map[string]string {
	return map[string]string{
		"*": "class id aria-label aria-labelledby aria-hidden role", "html": "lang!", "meta": "charset name content http-equiv", "link": "rel! href!",
		"a": "href!", "time": "datetime!", "th": "scope!", "li": "aria-current",
		"svg": "viewBox! width height preserveAspectRatio focusable", "rect": "width! height!", "path": "d! fill stroke stroke-width stroke-linecap stroke-linejoin",
		"circle": "cx! cy! r! fill stroke stroke-width stroke-dasharray",
	}
}

// invalid gives what is wrong with a page by the rules of HTML and of accessibility that tell wrong from right by themselves.
func invalid(text string) []string {
	if !strings.HasPrefix(text, "<!DOCTYPE html>\n") {
		return []string{"no document type"}
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return []string{err.Error()}
	}
	places, faults := written(text)
	understood := parsed(root)
	for i, one := range places {
		if i >= len(understood) || understood[i] != one {
			faults = append(faults, fmt.Sprintf("<%s>, element %d, is understood to stand elsewhere", one.name, i))
			break
		}
	}
	if len(understood) > len(places) {
		faults = append(faults, "browsers add elements")
	}
	ids := map[string]bool{}
	for n := range root.Descendants() {
		if id := attribute(n, "id"); id != "" && ids[id] {
			faults = append(faults, "two elements are called "+id)
		} else if id != "" {
			ids[id] = true
		}
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			faults = append(faults, wrong(n, ids)...)
		}
	}
	if len(elements(root, "h1")) != 1 || len(elements(root, "main")) != 1 || len(elements(root, "title")) != 1 {
		faults = append(faults, "a page has one title, one heading and one main part")
	}
	return faults
}

// wrong gives what is wrong with one element.
func wrong(n *html.Node, ids map[string]bool) []string {
	var faults []string
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("<%s>: ", n.Data)+fmt.Sprintf(format, args...))
	}
	may := strings.Fields(attributes()["*"] + " " + attributes()[n.Data])
	for _, one := range n.Attr {
		if !slices.Contains(may, one.Key) && !slices.Contains(may, one.Key+"!") {
			fault("the attribute %s", one.Key)
		}
		for _, scheme := range []string{"http:", "https:", "javascript:", "//"} {
			if strings.HasPrefix(one.Val, scheme) {
				fault("it leads elsewhere: %s", one.Val)
			}
		}
	}
	for _, name := range may {
		if must, is := strings.CutSuffix(name, "!"); is && attribute(n, must) == "" {
			fault("no %s", must)
		}
	}
	if by := attribute(n, "aria-labelledby"); by != "" && !ids[by] {
		fault("nothing is called %s", by)
	}
	switch n.Data {
	case "script", "iframe", "object", "embed", "form", "input", "button", "img", "base":
		fault("the page has none")
	case "time":
		if _, err := time.Parse(time.RFC3339, attribute(n, "datetime")); err != nil {
			fault("%v", err)
		}
	case "svg":
		if (attribute(n, "role") == "img") != (attribute(n, "aria-label") != "") || attribute(n, "role") == "" && attribute(n, "aria-hidden") != "true" {
			fault("a picture has a label or is hidden")
		}
	case "table":
		faults = append(faults, wrongTable(n)...)
	case "section", "nav":
		if attribute(n, "aria-label")+attribute(n, "aria-labelledby") == "" {
			fault("it has no name")
		}
	case "a", "h1", "h2", "h3", "li", "p", "th", "dt", "dd":
		if words(n) == "" {
			fault("it is empty")
		}
	}
	return faults
}

// wrongTable holds a table to a caption, headers of columns and rows, and rows of one length.
func wrongTable(n *html.Node) []string {
	var faults []string
	if len(elements(n, "caption")) != 1 || n.FirstChild.NextSibling.Data != "caption" {
		faults = append(faults, "a table without a caption that comes first")
	}
	width := 0
	for i, row := range elements(n, "tr") {
		cells := 0
		for cell := range row.ChildNodes() {
			if cell.Type != html.ElementNode {
				continue
			}
			cells++
			want := "row"
			if i == 0 {
				want = "col"
			}
			if (i == 0 || cells == 1) && (cell.Data != "th" || attribute(cell, "scope") != want) {
				faults = append(faults, "a "+want+" without a header")
			}
		}
		if i > 0 && cells != width {
			faults = append(faults, fmt.Sprintf("row %d has %d cells, not %d", i, cells, width))
		}
		width = cells
	}
	return faults
}

func TestThePageIsValid(t *testing.T) {
	t.Parallel()
	for name, shown := range scenes() {
		for _, where := range []page.Place{page.Served, page.File} {
			require.Empty(t, invalid(write(t, shown, where)), "%s, %s", name, where)
		}
	}
}

func TestWhatIsInvalidIsSeen(t *testing.T) {
	t.Parallel()
	text := write(t, scenes()["a unit with trouble"], page.Served)
	for fault, spoil := range map[string][2]string{
		"no document type":                         {"<!DOCTYPE html>", ""},
		"never closed":                             {"</main>", ""},
		"closes":                                   {"</section>", "</div>"},
		"is understood to stand elsewhere":         {`<p class="message">`, `<p class="message"><ul><li>x</li></ul>`},
		"twice":                                    {`<h2 id="status">`, `<h2 id="status" id="other">`},
		"two elements are called":                  {`id="expiry"`, `id="status"`},
		"nothing is called":                        {`aria-labelledby="expiry"`, `aria-labelledby="unknown"`},
		"the attribute onclick":                    {`<main class`, `<main onclick="x()" class`},
		"the attribute style":                      {`<main class`, `<main style="color:red" class`},
		"it leads elsewhere":                       {`href="/ca.pem"`, `href="https://example.com/"`},
		"the page has none":                        {"</main>", "<script>1</script></main>"},
		"a table without a caption":                {"<caption>", "<caption></caption><caption>"},
		"a row without a header":                   {`<th scope="row">etcd</th>`, `<td>etcd</td>`},
		"cells, not":                               {`<th scope="row">etcd</th>`, `<th scope="row">etcd</th><td>1</td>`},
		"no scope":                                 {`<th scope="row">etcd</th>`, `<th>etcd</th>`},
		"no datetime":                              {`<time datetime="2026-05-04T12:00:00Z">`, `<time>`},
		"cannot parse":                             {`<time datetime="2026-05-04T12:00:00Z">`, `<time datetime="today">`},
		"a picture has a label or is hidden":       {`role="img"`, ``},
		"it has no name":                           {`<section class="card" aria-labelledby="expiry">`, `<section class="card">`},
		"it is empty":                              {`<a href="/ca.pem">CA certificates</a>`, `<a href="/ca.pem"></a>`},
		"one title, one heading and one main part": {"<h1>", "<h1>x</h1><h1>"},
	} {
		require.Contains(t, text, spoil[0], fault)
		require.Contains(t, strings.Join(invalid(strings.Replace(text, spoil[0], spoil[1], 1)), "\n"), fault)
	}
}
