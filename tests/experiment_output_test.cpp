// Tables, figures and page of `wengert experiment`, from rows that tests/reference/experiment.jsonl made up.
#include <cmath>
#include <cstdlib>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <wengert/engine/error.hpp>

#include "../tools/wengert/experiment/analysis.hpp"
#include "../tools/wengert/experiment/figures.hpp"
#include "../tools/wengert/experiment/formatting.hpp"
#include "../tools/wengert/experiment/html.hpp"
#include "../tools/wengert/experiment/render.hpp"
#include "../tools/wengert/experiment/results.hpp"
#include "../tools/wengert/experiment/tables.hpp"
#include "scratch_folder.hpp"
#include "source_folder.hpp"

using namespace wengert;
using namespace wengert::command::experiment;
using namespace wengert::test;

namespace {

Results made_up() { return read_results(test::source_folder() / "tests" / "reference" / "experiment.jsonl"); }

Results only(const Results& all, const std::string& experiment) {
  Results part{all.header, {}};
  for (const Json* row : all.of(experiment)) part.rows.push_back(*row);
  return part;
}

bool has_gnuplot() { return std::system("gnuplot --version >/dev/null 2>&1") == 0; }

const SpeedRow& find(const std::vector<SpeedRow>& rows, int batch, const std::string& name) {
  for (const SpeedRow& row : rows) {
    if (row.batch == batch && row.name() == name) return row;
  }
  throw std::runtime_error("no row " + name);
}

}  // namespace

TEST_CASE("mean and sample standard deviation of the values that are numbers") {
  const Spread spread = spread_of({1, 2, nothing, 3, 4});
  CHECK(spread.count == 4);
  CHECK(spread.mean == doctest::Approx(2.5));
  CHECK(spread.deviation == doctest::Approx(std::sqrt(5.0 / 3)));
  CHECK(std::isnan(spread_of({7}).deviation));
  CHECK(std::isnan(spread_of({}).mean));
}

TEST_CASE("numbers keep three digits and small ones an exponent") {
  CHECK(significant(187.04) == "187");
  CHECK(significant(17.63) == "17.6");
  CHECK(significant(2.549) == "2.55");
  CHECK(significant(0.01254) == "0.0125");
  CHECK(significant(nothing).empty());
  CHECK(percent(0.99123) == "99.12");
  CHECK(plain(60000) == "60000");
  CHECK(plain(0.001) == "0.001");
  CHECK(plain(3e-5) == "3e-5");
}

TEST_CASE("each speed stands beside the report's, in ratios to naive; an absent one is told once") {
  const std::vector<SpeedRow> rows = speed_rows(made_up());
  CHECK(find(rows, 64, "naive, 1T").times_naive == 1);
  const SpeedRow& serial = find(rows, 64, "matrix, 1T");
  REQUIRE(serial.of_report.size() == 1);
  CHECK(report_times_naive(serial.of_report[0], 64) == doctest::Approx(262 / 12.71));
  CHECK(find(rows, 32, "im2col, 2T").of_report.size() == 2);  // 40 and 4 cores
  CHECK(find(rows, 64, "Keras, 1T").of_report.empty());
  CHECK(find(rows, 64, "Keras, 2T").of_report.size() == 1);
  CHECK(std::isnan(find(rows, 64, "CUDA").ms));
  CHECK_THROWS(find(rows, 64, "CUDA, 1T"));
  const std::vector<std::string> absent = absences(made_up());
  CHECK(std::find(absent.begin(), absent.end(), "CUDA: no device (speed, accuracy)") != absent.end());
}

TEST_CASE("ratios go to naive on one thread, or there are none") {
  const auto rows_of = [](int threads) {
    Results results;
    results.rows.push_back({{"experiment", "speed"},
                            {"batch", 64},
                            {"rows",
                             {{{"implementation", "naive"}, {"threads", threads}, {"ms", 100}},
                              {{"implementation", "plan"}, {"threads", threads}, {"ms", 4}}}}});
    return speed_rows(results);
  };
  CHECK(rows_of(1)[1].times_naive == 25);
  CHECK(std::isnan(rows_of(2)[1].times_naive));
}

TEST_CASE("a training that failed is counted, and none of the means") {
  Results results;
  const auto add = [&](const Json& accuracy) {
    results.rows.push_back({{"experiment", "rate"}, {"rate", 0.1}, {"accuracy", accuracy}, {"seconds", 5}, {"epochs", 5}});
  };
  add(0.98), add(nullptr), add(0.098);
  const std::vector<SweepPoint> points = sweep(results, "rate");
  REQUIRE(points.size() == 1);
  CHECK(points[0].failed == 2);
  CHECK(points[0].accuracy.count == 1);
  CHECK(points[0].accuracy.mean == doctest::Approx(0.98));
  CHECK(contains(markdown(tables_of(results, "rate")[0]), "| 0.1 | 98.00 | 5.00 | 1 | 5 | 2 |"));
}

TEST_CASE("Amdahl's law is fitted: 25% serial gives 25%") {
  const auto curves_of = [](const std::vector<int>& numbers) {
    Json rows = Json::array();
    for (const int threads : numbers)
      rows.push_back({{"implementation", "plan"}, {"threads", threads}, {"ms", 8 * (0.25 + 0.75 / threads)}});
    Results results;
    results.rows.push_back({{"experiment", "scaling"}, {"rows", rows}});
    return scaling_curves(results);
  };
  const std::vector<ScalingCurve> curves = curves_of({1, 2, 4, 8});
  REQUIRE(curves.size() == 1);
  CHECK(curves[0].serial == doctest::Approx(0.25));
  CHECK(curves[0].speed_up(3) == doctest::Approx(curves[0].amdahl(8)));
  CHECK(is_fitted(curves));
  CHECK_FALSE(is_fitted(curves_of({1, 2})));
  CHECK(curves_of({2, 4, 8}).empty());  // "times as fast as one thread" cannot be told
}

TEST_CASE("tables in Markdown and CSV escape what would break them") {
  const Table table{"t", "Title", {"a|b", "empty", "number"}, {{"x, \"y\"", "", "1.5"}}, {"A note."}};
  CHECK(markdown(table) == "# Title\n\n| a\\|b | number |\n|---|---:|\n| x, \"y\" | 1.5 |\n\nA note.\n");
  CHECK(csv(table) == "a|b,empty,number\n\"x, \"\"y\"\"\",,1.5\n");
}

TEST_CASE("everything is written, whole and in one page that asks no network") {
  const ScratchFolder folder;
  Results results = made_up();
  results.header["processor"] = "<b>\"A&B\"</b>";
  render(results, folder.path());
  for (const char* const experiment : experiments) CHECK(std::filesystem::exists(folder / fmt::format("{}.md", experiment)));
  for (const char* const table : {"speed", "accuracy", "recall", "confusion", "scaling"})
    CHECK(std::filesystem::exists(folder / fmt::format("{}.csv", table)));
  CHECK(contains(slurp(folder / "speed.md"), "| im2col | 64 | 2 | 3.02 / 5.25 |"));
  const std::string page = slurp(folder / "report.html");
  CHECK(contains(page, "&lt;b&gt;&quot;A&amp;B&quot;&lt;/b&gt;"));
  CHECK_FALSE(contains(page, "<b>"));
  for (const char* const outside : {"http://", "https://", "<script", "url("}) CHECK_FALSE(contains(page, outside));
  if (!has_gnuplot()) return;
  for (const Figure& figure : figures_of(results)) {
    for (const char* const suffix : {".svg", ".png", ".gp", ".dat"}) {
      CAPTURE(figure.sketch.name());
      CHECK(std::filesystem::file_size(folder / figures_folder / (figure.sketch.name() + suffix)) > 0);
    }
    CHECK_FALSE(std::filesystem::exists(folder / figures_folder / (figure.sketch.name() + ".log")));
  }
  CHECK(contains(page, "data:image/svg+xml;base64,"));
}

TEST_CASE("an interrupted run: any experiment alone, any row alone, rows that lack their fields") {
  const ScratchFolder folder;
  const Results all = made_up();
  for (const char* const experiment : experiments) {
    const Results part = only(all, experiment);
    CAPTURE(experiment);
    CHECK_FALSE(tables_of(part, experiment).empty());
    CHECK_FALSE(figures_of(part).empty());
    Results bare = part;
    for (Json& row : bare.rows) {
      const Results single{all.header, {row}};
      figures_of(single);
      tables_of(single, experiment);
      for (auto& field : row.items()) {
        if (field.key() != "experiment") field.value() = nullptr;
      }
    }
    bare.rows.push_back({{"experiment", experiment}});
    figures_of(bare);
    write_html(bare, folder.path());
  }
  render(Results{}, folder.path());
  CHECK(contains(slurp(folder / "report.html"), "Nothing has been measured yet"));
}

TEST_CASE("a last line that was cut off is left out, another file is refused") {
  const ScratchFolder folder;
  spill(folder / "results.jsonl", "{\"wengert_experiment\":1}\n{\"experiment\":\"batch\",\"batch\":8}\n{\"experiment\":\"ba");
  CHECK(read_results(folder / "results.jsonl").rows.size() == 1);
  for (const char* const other : {"", "{}\n", "text\n", "{\"wengert_experiment\":1}\ntext\n{}\n"}) {
    spill(folder / "other", other);
    CHECK(contains(message_of<Error>([&] { read_results(folder / "other"); }), "results of wengert experiment"));
  }
}

TEST_CASE("without gnuplot there are tables and a page, which names the package; figures of the same data stay") {
  const ScratchFolder folder, drawn;
  const bool can_draw = render(made_up(), drawn.path()) == "tables, figures and page";
  CHECK(can_draw == has_gnuplot());
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  CHECK(render(made_up(), folder.path()) == "tables and page");
  render(made_up(), drawn.path());
  Results other = made_up();
  other.header["started"] = "later";
  for (Json& row : other.rows) {
    if (row.contains("kernel")) row["seconds"] = 1;
  }
  const auto kept = [&](const char* figure) { return std::filesystem::exists(drawn / figures_folder / figure); };
  const bool kept_all = kept("ladder.svg");
  render(other, drawn.path());
  ::setenv("PATH", path.c_str(), 1);
  CHECK(std::filesystem::exists(folder / "speed.md"));
  CHECK(contains(slurp(folder / "report.html"), "gnuplot-nox"));
  CHECK(kept_all == can_draw);
  CHECK(kept("shift.png") == can_draw);
  CHECK_FALSE(kept("ladder.svg"));  // of other data
}
