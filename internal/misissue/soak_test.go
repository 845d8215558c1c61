// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/misissue/forge"
	"github.com/signet-charm/signet/internal/wire"
)

// requestsVariable says how many requests are made, seedVariable which ones.
const (
	requestsVariable = "SIGNET_REQUESTS"
	seedVariable     = "SIGNET_SEED"
)

func number(t *testing.T, variable string, byDefault uint64) uint64 {
	text := os.Getenv(variable)
	if text == "" {
		return byDefault
	}
	value, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, variable)
	return value
}

// Whatever is asked for, by whomever, under whatever settings: no certificate is issued that the policy promises not to
// issue, as somebody sees it who does not know its code. And what real charms ask for is granted by default, whoever asks
// beside them.
func TestRequestsGetOnlyWhatThePolicyAllows(t *testing.T) {
	t.Parallel()
	wanted, seed := number(t, requestsVariable, 3000), number(t, seedVariable, 1)
	end := time.Now().Add(time.Hour)
	if deadline, bounded := t.Deadline(); bounded { // "-timeout" bounds the run, which then says how far it came
		end = deadline.Add(-30 * time.Second)
	}
	began := time.Now()
	total := tally{codes: map[string]int{}}
	var rounds, asked atomic.Uint64
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			player := newPlayer(t)
			for asked.Load() < wanted && time.Now().Before(end) {
				player.round(rand.New(rand.NewPCG(seed, rounds.Add(1))))
				asked.Add(uint64(player.last))
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(player.tally)
		})
	}
	workers.Wait()
	t.Logf("seed %d: %s in %s", seed, total, time.Since(began).Round(time.Second))
	if uint64(total.asked) < wanted {
		t.Logf("stopped at the time limit, before %d requests", wanted)
	}
	require.Zero(t, total.breached, strings.Join(total.breaches, "\n\n"))
	require.Zero(t, total.denied, "what real charms ask for is granted by default: %s", strings.Join(total.refused, "\n\n"))
	total.requireThorough(t)
}

// What real charms wrote into their databags is granted by default.
func TestRecordedRequestsAreGranted(t *testing.T) {
	t.Parallel()
	recordings, err := wire.All()
	require.NoError(t, err)
	w, judged := newWorld(t), 0
	for _, recording := range recordings {
		for _, relation := range recording.States[0].Relations {
			if relation.Interface != "tls-certificates" {
				continue
			}
			w.forget()
			w.snap.Config = map[string]any{"intermediate-applications": relation.Requirer.App}
			seen := relation.ProviderSees("provider/0")
			seen.ID, seen.Endpoint.Name, seen.OwnUnit, seen.OwnApp = 7, "certificates", juju.Bag{}, juju.Bag{}
			w.snap.Relations = append(slices.Clone(w.snap.Relations[:1]), seen)
			w.turn(noon)
			require.NotContains(t, w.snap.Status.Message, "refused", recording.Name)
			judged += len(w.signed)
		}
	}
	require.Greater(t, judged, 30)
}

// tally is what came of requests.
type tally struct {
	asked, granted, judged, honest int
	copied                         int            // of what is asked: made because a sibling's request was read
	codes                          map[string]int // of refusals
	breaches, refused              []string       // the first few: certificates that must not be; honest requests that got none
	breached, denied               int
}

func (a *tally) add(b tally) {
	a.asked, a.granted, a.judged, a.honest = a.asked+b.asked, a.granted+b.granted, a.judged+b.judged, a.honest+b.honest
	a.copied += b.copied
	a.breached, a.denied = a.breached+b.breached, a.denied+b.denied
	for code, count := range b.codes {
		a.codes[code] += count
	}
	a.breaches, a.refused = append(a.breaches, b.breaches...), append(a.refused, b.refused...)
}

func (a tally) String() string {
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(a.codes)) {
		codes = append(codes, fmt.Sprintf("%s %d", code, a.codes[code]))
	}
	return fmt.Sprintf("%d asks, %d granted (%d %%), %d of charms under the defaults, %d after copying, refused: %s; %d certificates judged, %d breaches",
		a.asked, a.granted, 100*a.granted/max(1, a.asked), a.honest, a.copied, strings.Join(codes, ", "), a.judged, a.breached)
}

// requireThorough asserts that the run could have found something: much was granted, and everything was refused that can be.
func (a tally) requireThorough(t *testing.T) {
	fifth := 5
	if a.asked < 20000 { // few rounds are not alike
		fifth = 10
	}
	require.GreaterOrEqual(t, fifth*a.granted, a.asked, "a fifth is granted at least")
	require.GreaterOrEqual(t, a.judged, a.granted)
	require.GreaterOrEqual(t, 100*a.honest, a.asked, "charms ask among them")
	require.GreaterOrEqual(t, 40*a.copied, a.asked, "and siblings copy what they ask for")
	least := min(100, a.asked/2500)
	for _, code := range []string{
		"ca-not-allowed", "weak-key", "usage-not-allowed", "extension-not-allowed", "name-not-allowed", "identity-not-allowed",
		"wildcard-not-allowed", "ip-not-allowed", "too-large", "too-many", "bad-signature", "malformed",
	} {
		require.GreaterOrEqual(t, a.codes[code], least, code)
	}
}

// player plays rounds on one world.
type player struct {
	world *world
	judge *Judge
	pool  forge.Keys
	cache map[string]*ask
	tally tally
	last  int // asks of the last round
}

func newPlayer(t *testing.T) *player {
	return &player{world: newWorld(t), judge: New(), pool: forge.NewKeys(), cache: map[string]*ask{}, tally: tally{codes: map[string]int{}}}
}

// round relates some applications under some settings, and judges what they get. Now and then time passes and the
// settings change: then it judges what is renewed.
func (p *player) round(r *rand.Rand) {
	settings := drawSettings(r)
	var asks []*ask
	for id := 2; id < 2+4+r.IntN(8); id++ {
		asks = append(asks, p.application(r, id, settings)...)
	}
	p.last = len(asks)
	p.tally.asked += len(asks)
	p.world.forget()
	p.judge.NewWorld()
	p.world.snap.Relations = append(slices.Clone(p.world.snap.Relations[:1]), relate(asks)...)
	p.play(settings, asks, noon)
	switch {
	case r.IntN(2) == 0:
		p.copy(r, settings, asks)
	case r.IntN(6) == 0:
		later := drawSettings(r)
		later.PerUnit, later.PerRelation = max(later.PerUnit, settings.PerUnit), max(later.PerRelation, settings.PerRelation) // a lower limit takes nothing away
		p.play(later, asks, noon.Add(settings.Life/100*97))                                                                   // when everything is due, and nothing has ended
	}
}

// play takes turns until all is signed.
func (p *player) play(settings drawn, asks []*ask, now time.Time) {
	p.judge.NewTurn()
	p.world.snap.Config = settings.options
	for turns := 1; p.world.turn(now); turns++ {
		require.Less(p.world.t, turns, 10, "the turns do not come to rest")
	}
	require.NotContains(p.world.t, []string{"blocked", "waiting"}, string(p.world.snap.Status.Level), "%v under %v", p.world.snap.Status, settings.options)
	shared, stray := p.world.collect(asks)
	for _, text := range stray {
		p.breach("%s, under %v", text, settings.options)
	}
	for _, a := range slices.Concat(asks, shared) {
		p.settle(settings, a, asks, now)
	}
}

// application is one related application: its first unit is honest.
func (p *player) application(r *rand.Rand, id int, settings drawn) []*ask {
	app := pick(r, applications()...)
	if settings.isDefault && strings.HasPrefix(app, "remote-") {
		app = "etcd" // what other models may have is listed
	}
	var asks []*ask
	for unit := range 1 + r.IntN(12) {
		a := asker{relation: id, app: app, unit: fmt.Sprintf("%s/%d", app, unit), number: unit, pool: p.pool, cache: p.cache}
		if unit == 0 || r.IntN(3) > 0 {
			asks = append(asks, a.charm(r)...)
		}
		if unit > 0 {
			for range r.IntN(11) {
				asks = append(asks, a.hostile(r)...)
			}
		}
	}
	return distinct(asks)
}

// copy has units make requests of their siblings, which they read where these are answered: as they are, or for another kind
// of certificate, and with a key of their own for the same names. Some siblings make new requests meanwhile. Nobody loses
// anything by that, nor gains.
func (p *player) copy(r *rand.Rand, settings drawn, asks []*ask) {
	units := map[int][]string{}
	for _, a := range asks {
		if a.unit != "" && !slices.Contains(units[a.relation], a.unit) {
			units[a.relation] = append(units[a.relation], a.unit)
		}
	}
	var kept, more []*ask
	had := map[*ask]bool{}
	for _, a := range asks {
		others := slices.DeleteFunc(slices.Clone(units[a.relation]), func(unit string) bool { return unit == a.unit })
		if a.legacy || a.issued == nil || len(others) == 0 || r.IntN(3) == 0 {
			kept = append(kept, a)
			had[a] = a.issued != nil && a.kind != Application // which has other names when others ask for other ones
			continue
		}
		copied := *a
		copied.unit, copied.honest = pick(r, others...), false
		if r.IntN(4) == 0 {
			copied.kind = map[bool]Kind{true: Server, false: Authority}[a.kind == Authority]
		}
		own := asker{relation: a.relation, app: a.app, unit: copied.unit, pool: p.pool}
		more = append(more, &copied)
		again := func(as asker) *ask {
			one := as.request(a.kind, forge.Request{
				Subject: []forge.RDN{ // which nobody else asks for
					forge.CommonName(a.user()), forge.Organization("system:nodes"), {forge.Text(oidUniqueID, fmt.Sprint(r.Uint64()))},
				},
				Usages: []asn1.ObjectIdentifier{oidClientAuth}, Key: pick(r, p.pool["p256"]...),
			})
			one.honest = false
			return one
		}
		if r.IntN(3) == 0 && a.unit != "" {
			owner := own
			owner.unit = a.unit
			more = append(more, again(owner)) // and the copy is all that is left of the first one
		} else {
			kept = append(kept, a)
			had[a] = true
		}
		if r.IntN(2) == 0 {
			more = append(more, again(own))
		}
	}
	if len(more) == 0 {
		return
	}
	p.last += len(more)
	p.tally.asked += len(more)
	p.tally.copied += len(more)
	before := p.world.snap.Relations[1:]
	asks = slices.Concat(kept, more)
	relations := relate(asks)
	for i := range relations {
		relations[i].OwnUnit, relations[i].OwnApp = before[i].OwnUnit, before[i].OwnApp
	}
	p.world.snap.Relations = append(slices.Clone(p.world.snap.Relations[:1]), relations...)
	p.play(settings, asks, noon)
	for a := range had {
		if had[a] && a.issued == nil {
			p.breach("lost by what siblings ask for: %s, under %v", a, settings.options)
		}
	}
}

// distinct leaves out what a databag cannot say twice, and what two units could not both have thought of: a request is copied
// from its answer, see copy.
func distinct(asks []*ask) []*ask {
	seen := map[string]bool{}
	return slices.DeleteFunc(asks, func(a *ask) bool {
		key := a.text
		if a.legacy {
			key = fmt.Sprint(a.unit, a.kind, a.commonName)
		}
		again := seen[key]
		seen[key] = true
		return again
	})
}

// contested reports whether another unit of the relation asks for the same node's name: who comes first has it.
func contested(a *ask, asks []*ask) bool {
	name, isNode := strings.CutPrefix(a.user(), "system:node:")
	return isNode && slices.ContainsFunc(asks, func(b *ask) bool {
		return b.relation == a.relation && b.unit != a.unit && b.user() == "system:node:"+name
	})
}

// user is the common name that is asked for.
func (a *ask) user() string {
	if request, err := x509.ParseCertificateRequest(a.der); err == nil && !a.legacy {
		return request.Subject.CommonName
	}
	return a.commonName
}

// settle counts and judges one outcome.
func (p *player) settle(settings drawn, a *ask, asks []*ask, now time.Time) {
	unasked := a.kind == Shared || a.kind == Application && a.unit == "" && a.legacy
	if a.issued == nil {
		switch {
		case a.honest && settings.isDefault && a.kind != Application && !strings.HasPrefix(a.app, "remote-") && !contested(a, asks): // to others, nothing is promised
			p.tally.denied++
			if len(p.tally.refused) < 3 {
				p.tally.refused = append(p.tally.refused, fmt.Sprintf("%s: %s (%s)", a, a.code, p.world.snap.Status.Message))
			}
		case a.code != "":
			p.tally.codes[a.code]++
		case a.kind != Application:
			p.tally.codes["unsaid"]++
		}
		return
	}
	if a.kept {
		return // by the rules of that time
	}
	if !unasked && now.Equal(noon) {
		p.tally.granted++
	}
	if a.honest && settings.isDefault {
		p.tally.honest++
	}
	p.tally.judged++
	issue := Issue{
		Relation: a.relation, Application: a.app, Unit: a.unit, CrossModel: strings.HasPrefix(a.app, "remote-"), Kind: a.kind, Legacy: a.legacy,
		CommonName: a.commonName, Names: a.names, Request: a.der, Certificate: a.issued, Issuer: p.world.issuer, At: now,
	}
	if !a.legacy && a.kind == Client {
		issue.Kind = Server // the dialect knows no kinds but a CA's
	}
	if unasked && a.kind == Application {
		p.union(&issue, asks)
	}
	for _, one := range p.judge.Judge(settings.Settings, issue) {
		p.breach("%s: %s, under %v", one, a, settings.options)
	}
	if settings.noLegacy && a.legacy {
		p.breach("the legacy dialect is off: %s", a)
	}
}

// union completes what is known of the certificate of a whole application: it is for whoever asked for one.
func (p *player) union(issue *Issue, asks []*ask) {
	in := map[string]bool{}
	leaf, err := x509.ParseCertificate(issue.Certificate)
	require.NoError(p.world.t, err)
	names, err := readAltNames(leaf)
	require.NoError(p.world.t, err)
	for _, name := range names {
		in[name.String()] = true
	}
	for _, a := range asks {
		if a.relation != issue.Relation || a.kind != Application || !a.legacy {
			continue
		}
		if a.commonName == leaf.Subject.CommonName {
			issue.CommonName = a.commonName
		}
		for _, name := range append(slices.Clone(a.names), a.commonName) {
			if in[canonical(name)] { // a unit whose request was refused has no part in it
				issue.Names = append(issue.Names, name)
			}
		}
	}
}

func (p *player) breach(format string, args ...any) {
	p.tally.breached++
	if len(p.tally.breaches) < 5 {
		p.tally.breaches = append(p.tally.breaches, fmt.Sprintf(format, args...))
	}
}
