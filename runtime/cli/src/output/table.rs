//! Columns as kubectl prints them: left-aligned, three spaces apart, nothing after the last.

use super::sanitise::one_line;

/// Lines of a table; cells are made harmless.
pub fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let widths: Vec<usize> = (0..header.len()).map(|at| width_of(header, &rows, at)).collect();
    let head: Vec<String> = header.iter().map(ToString::to_string).collect();
    std::iter::once(&head).chain(&rows).map(|row| line(row, &widths)).collect()
}

fn width_of(header: &[&str], rows: &[Vec<String>], at: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
    cells.chain([header[at].chars().count()]).max().unwrap_or(0)
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join("   ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["web".into(), "1/1".into()], vec!["database".into(), "0/1".into()]];
        assert_eq!(render(&["NAME", "READY"], &rows), "NAME       READY\nweb        1/1\ndatabase   0/1\n");
    }
}
