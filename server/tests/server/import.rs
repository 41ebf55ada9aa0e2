//! Projects in files and in `import`: what comes from elsewhere reaches the right one.

use serde_json::json;

use crate::cluster::{Mood, deserted};
use crate::delegated::{LIST, READER, SCIENTIST_JOB, cluster, delegated};
use crate::world::{World, on_both_stores};

on_both_stores! {
    fn a_file_names_projects_of_the_cluster_by_their_ids(world: &World) {
        let this = delegated(world);
        // The database knows the name of project 119 from now on, and another project may have it tomorrow.
        assert_eq!(this.get(LIST, SCIENTIST_JOB).status, 200);
        let path = world.directory.join("mappings.json");
        let apply = ["mapping", "apply", path.to_str().expect("UTF-8")];
        let write = |project: &str| {
            let line = format!("[{{\"project\":\"{project}\",\"project_role\":\"all\",\"role\":\"{READER}\"}}]");
            std::fs::write(&path, line).expect("a file");
        };
        write("churn");
        assert!(world.failed(&apply).ends_with("so give the id"));
        write("119");
        world.done(&apply);
    }

    fn an_import_finds_projects_by_their_ids_in_the_cluster(world: &World) {
        let this = delegated(world);
        assert_eq!(this.get(LIST, SCIENTIST_JOB).json["items"][0]["projectName"], "churn");
        // The name of project 1 is the one by which project 119 is known here.
        let row = |id: i64, project: i64, name: &str, role: &str, arn: &str| {
            json!({"id": id, "projectId": project, "projectName": name, "projectRole": role, "cloudRole": arn, "defaultRole": false})
        };
        let rows = [
            row(1, 1, "churn", "Data owner", READER),
            row(2, 119, "sales", "Data scientist", "arn:aws:iam::123456789012:role/other"),
        ];
        this.cluster.is(Mood::Says("200 OK", json!({"count": 2, "items": rows}).to_string()));
        let import = || world.run_with(&["import", "--from", &this.cluster.url()], &[("API_KEY", "prefix.secret")]);
        let imported = import();
        assert_eq!(imported.stdout.lines().count(), 2, "{}", imported.stderr);
        assert_eq!(import().stdout, "", "the second time");
        assert_eq!(
            world.sql("select project_id, project_role, role_arn, is_default from role_mappings order by project_id, role_arn"),
            [
                ["1", "DATA_OWNER", READER, "0"],
                ["119", "DATA_SCIENTIST", "arn:aws:iam::123456789012:role/other", "0"],
                ["119", "ALL", READER, "1"],
            ]
        );
    }

    fn an_import_from_elsewhere_into_the_database_of_a_cluster_is_refused(world: &World) {
        let this = delegated(world);
        let there = World::sqlite();
        let key = there.done(&["user", "add", "admin@example.org", "--admin"]);
        there.sql("insert into projects (id, name) values (119, 'sales')");
        there.done(&["mapping", "add", "119", "all", "arn:aws:iam::123456789012:role/sales"]);
        let (from, other) = (there.serve(), cluster());
        let before = world.sql("select * from role_mappings");
        this.cluster.asked();
        for url in [&from.url, &other.url(), &deserted()] {
            for dry_run in [&[][..], &["--dry-run"]] {
                let ran = world.run_with(&[&["import", "--from", url], dry_run].concat(), &[("API_KEY", key.as_str())]);
                assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{url}");
                let own = format!("this database serves the Hopsworks cluster {}/hopsworks-api/api/; ", this.cluster.url());
                assert!(ran.stderr.starts_with(&own) && ran.stderr.contains(url.as_str()), "{}", ran.stderr);
                assert!(ran.stderr.ends_with("so import from the cluster itself\n"), "{}", ran.stderr);
            }
        }
        assert_eq!(world.sql("select * from role_mappings"), before);
        assert_eq!((other.asked().len(), this.cluster.asked().len()), (0, 0), "nobody is asked");
    }

    fn an_import_takes_a_project_of_another_server_by_its_name_and_never_as_an_id(world: &World) {
        let there = World::sqlite();
        let key = there.done(&["user", "add", "admin@example.org", "--admin"]);
        there.sql("insert into projects (id, name) values (1, '12')");
        there.done(&["mapping", "add", "1", "all", "arn:aws:iam::123456789012:role/secret"]);
        let from = there.serve();
        for number in 1..=12 {
            world.done(&["project", "add", &format!("p{number}")]);
        }
        let ran = world.run_with(&["import", "--from", &from.url], &[("API_KEY", key.as_str())]);
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        assert!(ran.stderr.contains("\"12\""), "{}", ran.stderr);
        assert_eq!(world.done(&["mapping", "list"]), "");
    }
}
