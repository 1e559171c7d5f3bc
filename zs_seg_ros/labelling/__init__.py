"""`zs-seg label`: recordings labelled without a running node, and without ROS.

plan.py           a recording → its cameras, and slices of a few hundred frames
frames.py         a slice → frames, with depth
slice_results.py  frames → results in a part file, whole or not at all
results.py        part files → results in order, with identities
bag_output.py     recording and results → a copy of the recording with the results
coco_output.py    recording and results → images, label images and COCO JSON
work_folder.py    where part files lie until all are there
run.py            all of this, in this process; ray_run.py: slices on a Ray cluster
"""
