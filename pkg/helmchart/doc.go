// Package helmchart renders Helm charts that stand in the repository, with the
// Helm library, as proof of what an edit of their values does. It reads an
// fs.FS and nothing else: no dependency is fetched, no hook is run, no cluster
// is looked up, no DNS is asked. It is a package of its own so that what Helm
// weighs is seen in one place.
//
//	chart, err := helmchart.Load(files, "charts/shop")
//	objects, err := chart.Render(helmchart.Release{Name: "cart", Namespace: "shop", Values: values})
package helmchart
