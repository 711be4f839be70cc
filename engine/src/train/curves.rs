//! A run's curves as one SVG picture.

/// Draws one line a named series over steps; each is scaled by its own range, which the legend tells.
pub fn svg(series: &[(String, Vec<(f64, f64)>)]) -> String {
    const COLOURS: [&str; 6] = ["#1b7f8c", "#c2551d", "#5b4b9a", "#2f8f46", "#b3385b", "#6b6b6b"];
    let (width, height, left, top) = (760.0, 360.0, 20.0, 20.0);
    let (plot_width, plot_height) = (500.0, 310.0);
    let last = series
        .iter()
        .flat_map(|(_, points)| points.iter().map(|p| p.0))
        .fold(1.0, f64::max);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <rect x=\"{left}\" y=\"{top}\" width=\"{plot_width}\" height=\"{plot_height}\" fill=\"none\" stroke=\"#ccc\"/>\n\
         <text x=\"{left}\" y=\"{}\" fill=\"#555\">steps 0 to {last}</text>\n",
        top + plot_height + 18.0
    );
    for (index, (name, points)) in series.iter().enumerate() {
        let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        let span = if high > low { high - low } else { 1.0 };
        let line: Vec<String> = points
            .iter()
            .filter(|p| p.1.is_finite())
            .map(|p| {
                let x = left + p.0 / last * plot_width;
                let y = top + plot_height - (p.1 - low) / span * plot_height;
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let colour = COLOURS[index % COLOURS.len()];
        let y = top + 16.0 + 18.0 * index as f64;
        out += &format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\n\
             <text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{name}: {low:.4} to {high:.4}</text>\n",
            line.join(" "),
            left + plot_width + 12.0
        );
    }
    out + "</svg>\n"
}
