// SPDX-License-Identifier: AGPL-3.0-only

package page_test

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/httpd"
	"github.com/signet-charm/signet/internal/metrics"
	"github.com/signet-charm/signet/internal/page"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/viewtest"
)

// judge.js gives what is wrong with a page that is open.
//
//go:embed judge.js
var judge string

// browser starts Chromium once. What it would do besides, on the network above all, is switched off.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(cmp.Or(os.Getenv("SIGNET_CHROMIUM"), "/usr/bin/chromium")), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(allocator)
	t.Cleanup(closed)
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// tab is one page of the browser, and what it did.
type tab struct {
	ctx context.Context

	mu       sync.Mutex // guards what follows
	requests []string
	messages []string
}

func newTab(t *testing.T, parent context.Context) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(parent)
	t.Cleanup(stop)
	one := &tab{ctx: ctx}
	require.NoError(t, chromedp.Do(ctx))
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		one.mu.Lock()
		defer one.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			one.requests = append(one.requests, event.Request.URL)
		case *log.EventEntryAdded:
			one.messages = append(one.messages, event.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			one.messages = append(one.messages, fmt.Sprint(event.Type))
		case *runtime.EventExceptionThrown:
			one.messages = append(one.messages, event.ExceptionDetails.Text)
		}
	}))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	return one
}

// look gives the tab a size and a theme.
func (one *tab) look(t *testing.T, size [2]int64, phone bool, theme string) {
	t.Helper()
	_, err := chromedp.Call(one.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: size[0], Height: size[1], DeviceScaleFactor: 1, Mobile: phone,
	})
	require.NoError(t, err)
	_, err = chromedp.Call(one.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	require.NoError(t, err)
}

// faults are what is wrong with the page that is open.
func (one *tab) faults(t *testing.T) []string {
	t.Helper()
	faults, err := chromedp.Run(one.ctx, chromedp.Evaluate[[]string](judge))
	require.NoError(t, err)
	return faults
}

// serve serves a view as an agent does.
func serve(t *testing.T, shown view.View) string {
	t.Helper()
	web := httpd.New(slog.New(slog.DiscardHandler), time.Now)
	web.Watch(httpd.Sight{
		View: func() (view.View, error) { return shown, nil }, Facts: func() metrics.Facts { return metrics.Facts{Connected: true} },
	})
	server := httptest.NewServer(web.Handler())
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// report writes a view as a file.
func report(t *testing.T, shown view.View) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	file, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, page.Write(file, shown, page.File))
	require.NoError(t, file.Close())
	return "file://" + path
}

func TestThePageInABrowser(t *testing.T) {
	now := time.Now()
	steady, troubled := viewtest.Steady(now), viewtest.Troubled(now)
	empty := view.View{Source: view.FromDisk, At: now, Unit: "signet/3", Application: "signet"}
	for _, c := range []struct {
		name, url string
		served    bool
	}{
		{"steady", serve(t, steady), true},
		{"troubled", serve(t, troubled), true},
		{"large", serve(t, viewtest.Large(now, 5000)), true},
		{"empty", serve(t, empty), true},
		{"report", report(t, troubled), false},
	} {
		parent := browser(t)
		for _, theme := range []string{"light", "dark"} {
			for device, size := range map[string][2]int64{"desk": {1280, 900}, "phone": {390, 844}} {
				t.Run(c.name+" "+theme+" "+device, func(t *testing.T) {
					one := newTab(t, parent)
					one.look(t, size, device == "phone", theme)
					require.NoError(t, chromedp.Do(one.ctx, chromedp.Navigate(c.url)))
					require.Empty(t, one.faults(t))
					shot, err := chromedp.Run(one.ctx, chromedp.FullScreenshot(100))
					require.NoError(t, err)
					one.mu.Lock()
					defer one.mu.Unlock()
					require.Empty(t, one.messages, "the console says nothing")
					require.NotEmpty(t, one.requests)
					for _, url := range one.requests {
						require.True(t, strings.HasPrefix(url, c.url) || strings.HasPrefix(url, "data:image/svg+xml"), "it asks %s", url)
					}
					keep(t, fmt.Sprintf("%s-%s-%s.png", c.name, theme, device), shot)
				})
			}
		}
	}
}

// keep keeps a picture where somebody wants to look at it.
func keep(t *testing.T, name string, shot []byte) {
	t.Helper()
	dir := os.Getenv("SIGNET_SHOTS")
	if dir == "" {
		return
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), shot, 0o644))
}

// A page that is not right is found out: each fault that is looked for is seen.
func TestTheJudgeSeesFaults(t *testing.T) {
	parent := browser(t)
	for fault, body := range map[string]string{
		"scrolls sideways":   `<p style="width:500px">wide</p>`,
		"contrast":           `<p style="color:#999;background:#fff">pale</p>`,
		"sticks out":         `<div style="overflow:hidden"><p style="position:relative;left:200px;white-space:nowrap">` + strings.Repeat("far ", 60) + `</p></div>`,
		"no heading":         `<main><p>nothing</p></main>`,
		"link without text":  `<a href="/x"></a>`,
		"smaller than 11 px": `<p style="font-size:9px">tiny</p>`,
	} {
		t.Run(fault, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "page.html")
			head := `<!DOCTYPE html><html lang="en"><head><title>t</title></head><body>`
			if fault != "no heading" {
				head += "<h1>page</h1>"
			}
			require.NoError(t, os.WriteFile(path, []byte(head+body+"</body></html>"), 0o600))
			one := newTab(t, parent)
			one.look(t, [2]int64{390, 844}, false, "light")
			require.NoError(t, chromedp.Do(one.ctx, chromedp.Navigate("file://"+path)))
			require.Contains(t, strings.Join(one.faults(t), "\n"), fault)
		})
	}
}
