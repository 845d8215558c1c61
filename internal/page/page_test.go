// SPDX-License-Identifier: AGPL-3.0-only

package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/signet-charm/signet/internal/page"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/viewtest"
)

// noon is when the tests take place.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// scenes are views that differ as much as views can.
func scenes() map[string]view.View {
	return map[string]view.View{
		"a unit at rest": viewtest.Steady(noon), "a unit with trouble": viewtest.Troubled(noon), "a large model": viewtest.Large(noon, 5000),
		"a unit of which nothing is known": {Source: view.FromDisk, At: noon, Unit: "signet/3"},
		"a CA that is not certified": {
			Source: view.FromAgent, At: noon, Unit: "signet/0", Authorities: []view.Authority{{Generation: 1, Role: "requested"}}, Rollover: view.Rollover{Phase: "certifying"},
			Record: view.Record{Trouble: "line 7 is not as it was written"},
		},
	}
}

func write(t *testing.T, shown view.View, place page.Place) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, page.Write(&text, shown, place))
	return text.String()
}

// read parses a page as browsers do.
func read(t *testing.T, text string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	return root
}

// words is the text of an element with single spaces.
func words(n *html.Node) string {
	var text strings.Builder
	for one := range n.Descendants() {
		if one.Type == html.TextNode && one.Parent.Data != "style" {
			text.WriteString(one.Data + " ")
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, one := range n.Attr {
		if one.Key == name {
			return one.Val
		}
	}
	return ""
}

// elements are those of a name.
func elements(root *html.Node, name string) []*html.Node {
	var found []*html.Node
	for one := range root.Descendants() {
		if one.Type == html.ElementNode && one.Data == name {
			found = append(found, one)
		}
	}
	return found
}

// part is the text of the section with a heading of this ID.
func part(t *testing.T, root *html.Node, id string) string {
	t.Helper()
	for _, one := range elements(root, "section") {
		if attribute(one, "aria-labelledby") == id {
			return words(one)
		}
	}
	require.Fail(t, "there is no section "+id)
	return ""
}

func TestWhatThePageSays(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		shown   view.View
		section string
		want    []string
	}{
		"the status is the headline":           {viewtest.Steady(noon), "status", []string{"active", "21 certificates, next renewal in 3d"}},
		"a turn that failed is told":           {viewtest.Troubled(noon), "status", []string{"blocked", "The last turn failed.", "2 h ago", "connection refused"}},
		"an option that cannot be used, too":   {viewtest.Troubled(noon), "status", []string{"An option cannot be used", `renewal-interval: "soon"`}},
		"all conditions":                       {viewtest.Troubled(noon), "conditions", []string{"blocked 3 requests", "waiting the CA's replacement is paused"}},
		"when the next replacement begins":     {viewtest.Steady(noon), "authority", []string{"begins by itself in 7 y (2033-05-02)"}},
		"how far a replacement is":             {viewtest.Troubled(noon), "authority", []string{"the next CA is made (done)", "published to be trusted (done)", "it signs, and certificates are replaced", "12 of 21 certificates are of CA 2. It is paused"}},
		"both CAs, with what is left of them":  {viewtest.Troubled(noon), "authority", []string{"CA 2 signing", "CA 1 retiring", "2026-05-28 , in 24 d", "0 entries, overdue for 24 h"}},
		"a refusal with code, reason and fix":  {viewtest.Troubled(noon), "refusals", []string{`etcd/1 client certificate "system:masters" refused identity-not-allowed`, "nobody gets it", `to allow it juju config signet policy-rules='[{"application": "etcd", "common-names": ["system:masters"]}]'`}},
		"what will not be renewed":             {viewtest.Troubled(noon), "refusals", []string{"etcd/0 server etcd-0.k8s-prod.internal will not be renewed name-not-allowed"}},
		"renewals that are late come first":    {viewtest.Troubled(noon), "upcoming", []string{"What comes next 120 d ago 2026-01-04 renewal: etcd/1 late"}},
		"renewals of one day are one line":     {viewtest.Steady(noon), "upcoming", []string{"in 3 d 2026-05-07 renewal: 2 of etcd"}},
		"the inventory has the worst first":    {viewtest.Troubled(noon), "inventory", []string{"serial etcd/1 server, legacy etcd-1.k8s-prod.internal 10.3.0.2 over 2 d ago", "web/5 server, csr web-5.k8s-prod.internal waiting –"}},
		"a certificate that is revoked, why":   {viewtest.Troubled(noon), "inventory", []string{"keyCompromise revoked"}},
		"the unit's own certificate, by whom":  {viewtest.Steady(noon), "inventory", []string{"signet/0 server, csr signet-0.k8s-prod.internal 10.1.0.1 this unit's own, by vault valid 200 d"}},
		"that there is nothing, in each place": {scenes()["a unit of which nothing is known"], "expiry", []string{"Nobody has a certificate."}},
		"that only the disk was read":          {scenes()["a unit of which nothing is known"], "status", []string{"Read from the disk."}},
		"a record that cannot be read":         {scenes()["a CA that is not certified"], "status", []string{"The record cannot be read. line 7"}},
		"a CA that waits to be certified":      {scenes()["a CA that is not certified"], "authority", []string{"the next CA is being certified", "not certified yet"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			text := part(t, read(t, write(t, c.shown, page.Served)), c.section)
			for _, want := range c.want {
				require.Contains(t, text, want)
			}
		})
	}
}

func TestTheHeatMap(t *testing.T) {
	t.Parallel()
	shown := viewtest.Troubled(noon)
	table := elements(read(t, write(t, shown, page.Served)), "table")[0]
	var lines []string
	for _, row := range elements(table, "tr") {
		line := ""
		for cell := range row.ChildNodes() {
			line += "|" + words(cell)
		}
		lines = append(lines, strings.ReplaceAll(line, "· 0", ""))
	}
	require.Equal(t, []string{
		"|application|over|<1 d|<7 d|<30 d|<90 d|<1 y|≥1 y|first to end",
		"|etcd|✕ 1 , over||||1|1||2 d ago",
		"|kubernetes-control-plane|||! 1 , renewal is late|||2||in 5 d",
		"|kubernetes-worker|||||2|! 5 , renewal is late||in 40 d",
		"|web|||||2|3||in 40 d",
		"|kubeapi-load-balancer||||||2||in 151 d",
		"|vault this unit's own||||||1||in 200 d",
	}, lines)
}

func TestAPageIsBoundedWhateverTheModel(t *testing.T) {
	t.Parallel()
	large, larger := write(t, viewtest.Large(noon, 5000), page.Served), write(t, viewtest.Large(noon, 15_000), page.Served)
	require.Less(t, len(large), 400<<10)
	require.InDelta(t, len(large), len(larger), 2<<10)
	require.Contains(t, words(read(t, larger)), "14700 more: signet certs list")
	require.Contains(t, words(read(t, larger)), "240 more applications")
	long := viewtest.Troubled(noon)
	long.Requests[0].Reason, long.Status.Message = strings.Repeat("ü", 1<<20), strings.Repeat("x", 1<<20)
	require.Less(t, len(write(t, long, page.Served)), 100<<10)
}

func TestWhatOthersWroteIsNoPartOfThePage(t *testing.T) {
	t.Parallel()
	shown := viewtest.Troubled(noon)
	hostile := `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}</style><!--`
	shown.Unit, shown.Model, shown.Status.Message, shown.Trouble = hostile, hostile, hostile, hostile
	for i := range shown.Certificates {
		one := &shown.Certificates[i]
		one.CommonName, one.Application, one.Unit, one.Names, one.Serial, one.Kind = hostile, hostile, hostile, []string{hostile}, hostile, hostile
	}
	for i := range shown.Requests {
		one := &shown.Requests[i]
		one.Reason, one.Fix, one.Item, one.Code, one.Relation = hostile, hostile, hostile, hostile, hostile
	}
	plain := read(t, write(t, viewtest.Troubled(noon), page.Served))
	spoilt := read(t, write(t, shown, page.Served))
	for _, name := range []string{"script", "img", "style", "meta", "a", "section"} {
		require.Len(t, elements(spoilt, name), len(elements(plain, name)), name)
	}
	require.Contains(t, words(spoilt), `"><script>alert(1)</script>`)
}

func TestNoTextOfACertificateIsShown(t *testing.T) {
	t.Parallel()
	shown := viewtest.Steady(noon)
	for i := range shown.Certificates {
		shown.Certificates[i].PEM = "-----BEGIN CERTIFICATE-----"
	}
	require.NotContains(t, write(t, shown, page.Served), "-----BEGIN")
}

func TestThePolicyIsOfThisStyle(t *testing.T) {
	t.Parallel()
	for place, name := range map[page.Place]string{page.Served: "over HTTP", page.File: "in a file"} {
		root := read(t, write(t, viewtest.Steady(noon), place))
		styles := elements(root, "style")
		require.Len(t, styles, 1)
		sum := sha256.Sum256([]byte(styles[0].FirstChild.Data))
		require.Contains(t, page.Policy(), "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", name)
		var metas []string
		for _, one := range elements(root, "meta") {
			if attribute(one, "http-equiv") != "" {
				metas = append(metas, attribute(one, "content"))
			}
		}
		if place == page.File {
			require.Equal(t, []string{page.Policy()}, metas, "a file has no headers")
			require.Empty(t, elements(root, "a"), "nothing is served beside a file")
		} else {
			require.Empty(t, metas)
		}
	}
	require.NotContains(t, page.Policy(), "unsafe")
}

func BenchmarkWrite(b *testing.B) {
	shown := viewtest.Large(noon, 5000)
	for b.Loop() {
		var text strings.Builder
		if err := page.Write(&text, shown, page.Served); err != nil {
			b.Fatal(err)
		}
	}
}
